"""Read a few paths of an image out of its layers' tars, without unpacking the image.

Whiteouts are those of image-spec layer.md, and overlayfs's own, devices 0:0. A hard link has the
owner and content of its target in the same tar, as in bootc's base images, whose files are links to
objects below /sysroot/ostree.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Self

from layers.document import MAX_DOCUMENT_SIZE, MAX_RECORDS_SIZE
from layers.entry import Entry, Kind, Owner
from layers.errors import LayerError
from layers.frozen import frozen
from layers.path import Path, components, joined
from layers.tar.reader import TarReader
from layers.tar.recorder import NoRecord
from layers.whiteout import OPAQUE_MARKER, hidden_name, is_aufs_leftover, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from layers.chunks import Chunks

# Bytes of content that is kept: several lists of a store's records, and a system's configuration.
_MOST = 4 * MAX_RECORDS_SIZE


@frozen
class Watched:
    """A path of the image. `content` of a small regular file whose content is wanted, None of
    anything else."""

    kind: Kind
    owner: Owner
    content: bytes | None = None


# Stands for what the layers below have at a path.
_BELOW = Watched(Kind.HARDLINK, Owner(0, 0, 0))


@frozen
class WatchedDirectory:
    """A directory of the image, with its watched entries."""

    leaves: dict[bytes, Watched] = field(default_factory=dict)
    directories: dict[bytes, WatchedDirectory] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[Path, Watched]) -> Self:
        root = cls()
        for path, watched in found.items():
            node: WatchedDirectory = root
            for name in path[:-1]:
                node = node.directories.setdefault(name, cls())
            if path and watched.kind is Kind.DIRECTORY:
                node.directories.setdefault(path[-1], cls())
            elif path:
                node.leaves[path[-1]] = watched
        return root

    def find(self, path: str) -> WatchedDirectory | None:
        """Return the directory at this relative path, None if there is none."""
        node: WatchedDirectory | None = self
        for name in components(path.encode()):
            node = node.directories.get(name) if node else None
        return node

    def leaf(self, path: str) -> Watched | None:
        """Return the file or symlink at this relative path, None if there is none."""
        directory, _, name = path.rpartition("/")
        node = self.find(directory)
        return node.leaves.get(name.encode()) if node else None

    def read(self, path: str, limit: int = MAX_DOCUMENT_SIZE) -> bytes | None:
        """Return the content of the file at this relative path, None if there is none. Raise
        LayerError if it has more than `limit` bytes, or is no regular file."""
        watched, name = self.leaf(path), path.rpartition("/")[2]
        if watched is None:
            return None
        if watched.kind is not Kind.FILE:
            raise LayerError(f"{name} is a symlink or another special file")
        if watched.content is None or len(watched.content) > limit:
            raise LayerError(f"{name} has more than {limit} bytes")
        return watched.content


class WatchedPaths:
    """The image's paths that `wanted` accepts, merged over all layers so far.

    `wanted` returns the largest size in bytes of a file whose content is kept, or None for a path
    that is not wanted. `most` bounds the bytes of all contents together.
    """

    def __init__(self, wanted: Callable[[Path], int | None], most: int = _MOST) -> None:
        self._wanted = wanted
        self._left = most
        self.found: dict[Path, Watched] = {}

    def add_layer(self, tar: Callable[[], Chunks]) -> None:
        """Put the next layer on top. `tar` opens the layer's tar, and is called twice if a path is
        a hard link. Raise LayerError if the tar is malformed."""
        added: dict[Path, Watched] = {}
        links: dict[Path, Path] = {}
        hidden: list[Path] = []
        for path, entry, reader in _entries(tar()):
            if any(map(is_aufs_leftover, path)):
                continue
            if path and is_whiteout(path[-1]):
                hidden.append(_hidden(path))
            elif entry.kind is Kind.CHAR and entry.device == (0, 0):
                hidden.append(path)
            elif (most := self._wanted(path)) is not None:
                links.pop(path, None)
                added[path] = self._watched(entry, reader, most)
                if entry.kind is Kind.HARDLINK:
                    links[path] = components(entry.link)
        if links:
            added |= self._linked(tar(), links)
        self._merge(added, hidden)

    def _linked(self, tar: Chunks, links: dict[Path, Path]) -> dict[Path, Watched]:
        """Return the targets of the links, by the links' paths. A link to nothing in this tar is
        left out."""
        most: dict[Path, int] = {}
        for path, target in links.items():
            most[target] = max(most.get(target, 0), self._wanted(path) or 0)
        watched = {
            path: self._watched(entry, reader, most[path])
            for path, entry, reader in _entries(tar)
            if path in most
        }
        return {path: watched[target] for path, target in links.items() if target in watched}

    def _watched(self, entry: Entry, reader: TarReader, most: int) -> Watched:
        small = entry.kind is Kind.FILE and entry.size <= most
        self._left -= entry.size if small else 0
        if self._left < 0:
            raise LayerError("configuration and records are too large together", path=entry.path)
        return Watched(entry.kind, entry.owner, reader.whole() if small else None)

    def _merge(self, added: dict[Path, Watched], hidden: Iterable[Path]) -> None:
        gone = set(hidden)
        files = {path for path, watched in added.items() if watched.kind is not Kind.DIRECTORY}
        for path in list(self.found):
            parents = [path[:end] for end in range(len(path))]
            opaque = any((*parent, OPAQUE_MARKER) in gone for parent in parents)
            if opaque or not gone.isdisjoint([path, *parents]) or not files.isdisjoint(parents):
                del self.found[path]
        self.found |= added


def file_in_layer(tar: Callable[[], Chunks], path: Path) -> tuple[bool, bytes | None]:
    """Return whether a layer has something at a path or hides what the layers below have there; and
    the content, None if there is no file. `tar` is that of `WatchedPaths.add_layer`.

    Raise LayerError, with the path, for a file of more than 4 MiB, or another entry.
    """

    def wanted(other: Path) -> int | None:
        if other == path:
            return MAX_DOCUMENT_SIZE
        return 0 if path[: len(other)] == other else None

    paths = WatchedPaths(wanted)
    paths.found[path] = _BELOW
    paths.add_layer(tar)
    entry = paths.found.get(path)
    if entry is None or entry is _BELOW:
        return entry is None, None
    if entry.content is None:
        problem = f"has more than {MAX_DOCUMENT_SIZE} bytes"
        if entry.kind is not Kind.FILE:
            problem = "is not a regular file, or a hard link to none"
        raise LayerError(f"the file {problem}", path=joined(path))
    return True, entry.content


def _entries(tar: Chunks) -> Iterable[tuple[Path, Entry, TarReader]]:
    reader = TarReader(tar, NoRecord())
    for entry in reader:
        try:
            yield components(entry.path), entry, reader
        except LayerError as error:
            raise error.within(path=entry.path) from None


def _hidden(path: Path) -> Path:
    """Return the path that a whiteout hides; for the opaque marker, the marker's own path."""
    name = path[-1]
    return path if name == OPAQUE_MARKER else (*path[:-1], hidden_name(name))
