"""Find the home directories of overlay graph drivers; see layers/ondisk/driver_home.py."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from importer.files.beneath import open_directory
from importer.tree.descriptors import read_small
from importer.tree.file_batch import LayerPlace
from layers.ondisk.driver_home import FLAG, DriverHome, may_be_fuse, read_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from layers.path import Path

_LINKS = b"l"
# overlayfs takes at most 500 lower layers; each has some 30 bytes in a `lower` file.
_LOWER_BYTES = 1 << 20
_FLAG_BYTES = 64


def layers_at(
    path: Path, driver: bytes, directory: int, names: Iterable[bytes]
) -> Iterator[LayerPlace]:
    """Yield the layers whose lowers are known, if the open directory is a driver's home.

    `path` is the directory's path in the tree, `driver` its last name, and `names` are its
    sub-directories. Raise OSError as open(2) and read(2) do.
    """
    home = _find_home(directory, names)
    if home is None:
        return
    fuse = may_be_fuse(driver, read_small(FLAG, directory, _FLAG_BYTES))
    for layer, lowers in home.lowers.items():
        if lowers is not None:
            below = tuple((*path, lower, b"diff") for lower in lowers)
            yield LayerPlace((*path, layer, b"diff"), below, fuse)


def _find_home(directory: int, names: Iterable[bytes]) -> DriverHome | None:
    lowers: dict[bytes, bytes | None] = {}
    for name in names:
        if name != _LINKS:
            _note_layer(directory, name, lowers)
    return read_home(_links(directory), lowers) if lowers else None


def _note_layer(home: int, name: bytes, lowers: dict[bytes, bytes | None]) -> None:
    """Add a layer, with the content of its `lower` file, None if it has no such file."""
    descriptor = open_directory(home, name)
    try:
        if _is(descriptor, b"link", stat.S_IFREG) and _is(descriptor, b"diff", stat.S_IFDIR):
            lowers[name] = read_small(b"lower", descriptor, _LOWER_BYTES)
    finally:
        os.close(descriptor)


def _is(directory: int, name: bytes, kind: int) -> bool:
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return stat.S_IFMT(status.st_mode) == kind
    return False


def _links(home: int) -> dict[bytes, bytes]:
    """Return the targets of the symlinks in `l`, by their names."""
    descriptor = open_directory(home, _LINKS)
    try:
        found = {}
        for name in map(os.fsencode, os.listdir(descriptor)):  # noqa: PTH208 - of a descriptor
            with suppress(OSError):  # not a symlink, so the driver did not make it
                found[name] = os.readlink(name, dir_fd=descriptor)
        return found
    finally:
        os.close(descriptor)
