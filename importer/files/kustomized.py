"""Read the images of a kustomization, as `kustomize build` gives them.

Files are opened beneath the directory of their kustomization, without following a symlink:
kustomize, too, takes no file outside. Directories may be anywhere (`../base`), and each has a
kustomization of its own.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from stat import S_ISDIR
from typing import TYPE_CHECKING

from importer.errors import ImporterError, os_faults
from importer.files import beneath
from importer.files.descriptors import check_regular, held
from layers.errors import LayerError
from layers.frozen import frozen
from layers.lists.detect import KUSTOMIZATIONS, kustomization_in
from layers.lists.kustomization import RENDER, check_patch, parse_kustomization
from layers.lists.manifests import read_manifests
from layers.yaml_text import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from layers.lists.listed import Listed

_MOST_FILES = 1000
_MOST_BYTES = 16 << 20
_DEEPEST = 20
_OUTSIDE = (
    "files are read beneath their kustomization, without symlinks, and none is fetched; if it is"
    f" elsewhere, {RENDER}"
)


@frozen
class Kustomized:
    """A `ListFile`: the images of a kustomization at `path`."""

    path: str
    images: tuple[Listed, ...]

    def pinned(self, _references: Mapping[str, str]) -> bytes:
        """Raise LayerError: the images are in several files, and in none as they are used."""
        raise LayerError(f"{self.path} is a kustomization, which --pin cannot write", hint=RENDER)


def read_kustomized(path: Path, size: int) -> Kustomized:
    """Read a kustomization whose files have at most `size` bytes each. Raise ImporterError or
    LayerError if a file is absent, no manifest, or beyond the bounds."""
    with os_faults(f"{path.parent} cannot be read"):
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with held(descriptor):
        directory = _Opened(descriptor, str(path.parent), 0)
        return Kustomized(str(path), tuple(_Kustomizer(size).images(directory, path.name, [])))


@frozen
class _Opened:
    """An open file or directory, below `depth` kustomizations. `path` is for messages, and for
    directories outside."""

    descriptor: int
    path: str
    depth: int

    @property
    def is_directory(self) -> bool:
        return S_ISDIR(os.fstat(self.descriptor).st_mode)

    def full(self, name: str) -> str:
        return os.path.normpath(os.path.join(self.path, name))  # noqa: PTH118 - not resolved

    def open(self, name: str) -> int:
        """Return a descriptor of a file or directory below, or of a directory outside. Raise
        OSError as open(2) does."""
        path = os.path.normpath(name)
        if path.startswith(".."):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            return os.open(self.full(name), flags)
        return beneath.open_file(self.descriptor, os.fsencode(path))


class _Kustomizer:
    """Reads kustomizations and their files, within bounds on all of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._files = _MOST_FILES
        self._bytes = max(_MOST_BYTES, size)

    def images(self, directory: _Opened, name: str, before: list[Listed]) -> list[Listed]:
        """Return the images `before` and those of a kustomization, as this one changes them."""
        origin = directory.full(name)
        file = parse_kustomization(self._read(directory, name), origin, self._size)
        images = [*before]
        for resource in file.resources:
            images += self._resource(directory, resource)
        for patch in file.patches:
            where = directory.full(patch)
            check_patch(decoded(self._read(directory, patch), where), where)
        for component in file.components:
            with self._opened(directory, component) as below:
                images = self.images(below, _name_in(below), images)
        if file.takes_something or name in KUSTOMIZATIONS:
            return file.applied(images)
        return [*images, *file.own_images()]

    def _resource(self, directory: _Opened, path: str) -> list[Listed]:
        with self._opened(directory, path) as entry:
            if entry.is_directory:
                return self.images(entry, _name_in(entry), [])
            text = decoded(self._content(entry), entry.path)
            return list(read_manifests(text, entry.path, self._size).images)

    def _read(self, directory: _Opened, path: str) -> bytes:
        with self._opened(directory, path) as entry:
            return self._content(entry)

    @contextmanager
    def _opened(self, directory: _Opened, path: str) -> Iterator[_Opened]:
        """Yield the entry at a path of a kustomization. Raise ImporterError if it cannot be opened,
        LayerError for too many of them."""
        full = path if "://" in path else directory.full(path)
        self._files -= 1
        if self._files < 0 or directory.depth == _DEEPEST:
            raise LayerError(f"{full}: too many files or levels", hint="is it a circle?")
        with os_faults(f"{full} cannot be read", _OUTSIDE):
            descriptor = directory.open(path)
        with held(descriptor):
            yield _Opened(descriptor, full, directory.depth + 1)

    def _content(self, entry: _Opened) -> bytes:
        with os_faults(f"{entry.path} cannot be read"):
            check_regular(entry.descriptor)
            with open(entry.descriptor, "rb", closefd=False) as file:
                content = file.read(self._size + 1)
        self._bytes -= len(content)
        if len(content) > self._size or self._bytes < 0:
            raise LayerError(
                f"{entry.path} has more than {self._size} bytes, or all files together too many",
                hint="raise max-list-size in the config file",
            )
        return content


def _name_in(directory: _Opened) -> str:
    if not directory.is_directory:
        raise ImporterError(f"{directory.path} is no directory", hint=RENDER)
    names = set(os.listdir(directory.descriptor))  # noqa: PTH208 - of a descriptor
    name = kustomization_in(names)
    if name is None:
        raise ImporterError(f"{directory.path} has no kustomization", hint=RENDER)
    return name
