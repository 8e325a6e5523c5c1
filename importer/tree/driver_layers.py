"""Find the layers of overlay graph drivers in a tree, and decide what their xattrs mean.

layers/ondisk/driver_home.py has the layout of a driver's home. fuse-overlayfs obeys the xattrs of
each namespace. The kernel never looks at those of a layer's root directory, and obeys one
namespace: `trusted.overlay.`, or in a mount with `userxattr`, which a user without root needs,
`user.overlay.`. A store with trusted xattrs is not for such mounts. Until all of a store is walked,
`user.overlay.` marks are set aside, since a trusted xattr may follow.
Source: the kernel's fs/overlayfs/overlayfs.h, `ovl_xattr`, and namei.c, `ovl_lookup` (Linux 6.18).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from importer.tree.entries import Mark, WhiteoutForm
from importer.tree.file_batch import LayerPlace
from layers.ondisk.driver_home import FLAG, lowers_of, may_be_fuse
from layers.tree.overlay_xattrs import TRUSTED, USER, opaque_by, without_opaque

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from importer.files.foreign import ForeignDirectory
    from importer.tree.scanned import ScannedFile, ScannedPlace, ScannedTree
    from layers.entry import Xattrs
    from layers.path import Path

_LINKS = b"l"
# overlayfs takes at most 500 lower layers; each has some 30 bytes in a `lower` file.
_LOWER_BYTES = 1 << 20
_FLAG_BYTES = 64


def layers_at(
    path: Path, driver: bytes, home: ForeignDirectory, names: Iterable[bytes]
) -> Iterator[LayerPlace]:
    """Yield the layers whose lowers are known, if the directory is a driver's home.

    `path` is the directory's path in the tree, `driver` its last name, and `names` are its
    sub-directories.
    """
    contents: dict[bytes, bytes | None] = {}
    for name in names:
        if name != _LINKS:
            with home.directory(name) as layer:
                if _is(layer, b"link", stat.S_IFREG) and _is(layer, b"diff", stat.S_IFDIR):
                    contents[name] = layer.read(b"lower", _LOWER_BYTES)
    if not contents:
        return
    fuse = may_be_fuse(driver, home.read(FLAG, _FLAG_BYTES))
    for name, lowers in lowers_of(_links(home), contents).items():
        if lowers is not None:
            below = tuple((*path, lower, b"diff") for lower in lowers)
            yield LayerPlace((*path, name, b"diff"), below, fuse)


def _is(directory: ForeignDirectory, name: bytes, kind: int) -> bool:
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
        return stat.S_IFMT(status.st_mode) == kind
    return False


def _links(home: ForeignDirectory) -> dict[bytes, bytes]:
    """Return the targets of the symlinks in `l`, by their names."""
    targets = {}
    with home.directory(_LINKS) as links:
        for name in links.names():
            with suppress(OSError):  # not a symlink, so the driver did not make it
                targets[name] = os.readlink(name, dir_fd=links.descriptor)
    return targets


class LayerMarks:
    """The opaque directories of a walk's layers, and its doubtful whiteouts."""

    def __init__(self, scanned: ScannedTree) -> None:
        self._scanned = scanned
        self._trusted: set[Path] = set()
        self._doubtful: list[tuple[LayerPlace, ScannedPlace]] = []
        self._files: list[tuple[LayerPlace, ScannedFile]] = []

    def directory(self, layer: LayerPlace, place: ScannedPlace, xattrs: Xattrs) -> Xattrs:
        """Note whether a layer's directory is opaque. Return its xattrs to commit."""
        if any(name.startswith(TRUSTED) for name, _ in xattrs):
            self._trusted.add(layer.home)
        namespaces = opaque_by(xattrs)
        seen_by_kernel = place.path != layer.path
        if namespaces and (layer.fuse or (seen_by_kernel and TRUSTED in namespaces)):
            self._hide(place)
            return without_opaque(xattrs, b"y")
        if seen_by_kernel and USER in namespaces:
            self._doubtful.append((layer, place))
        return xattrs

    def set_aside(self, layer: LayerPlace, file: ScannedFile) -> None:
        """Keep a file until `settle`."""
        self._files.append((layer, file))

    def settle(self) -> list[tuple[ScannedFile, bool]]:
        """Decide about all marks that were set aside. Return each file, and whether it is a
        whiteout."""
        for layer, place in self._doubtful:
            owner = place.node.owner
            if layer.home not in self._trusted and owner is not None:
                self._hide(place)
                place.node.owner = owner._replace(xattrs=without_opaque(owner.xattrs, b"y"))
        return [(file, layer.home not in self._trusted) for layer, file in self._files]

    def _hide(self, place: ScannedPlace) -> None:
        place.node.opaque = True
        self._scanned.marks.append(Mark(place.path, b"", WhiteoutForm.OPAQUE))
