"""Read a few paths of an image out of its layers' tars, without unpacking the image.

Whiteouts are those of image-spec layer.md. A hard link has the owner and content of its target in
the same tar, as in bootc's base images, whose files are links to objects below /sysroot/ostree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.document import MAX_DOCUMENT_SIZE
from layers.entry import Entry, Kind
from layers.errors import LayerError
from layers.path import Path, components
from layers.tar.reader import TarReader
from layers.tar.recorder import NoRecord
from layers.whiteout import OPAQUE_MARKER, hidden_name, is_aufs_leftover, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from layers.chunks import Chunks
    from layers.entry import Owner


@dataclass(frozen=True, slots=True)
class Watched:
    """A path of the image. `content` of a small regular file, None of anything else."""

    kind: Kind
    owner: Owner
    content: bytes | None = None


class WatchedPaths:
    """The image's paths that `wanted` accepts, merged over all layers so far."""

    def __init__(self, wanted: Callable[[Path], bool]) -> None:
        self._wanted = wanted
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
            elif self._wanted(path):
                links.pop(path, None)
                added[path] = _watched(entry, reader)
                if entry.kind is Kind.HARDLINK:
                    links[path] = components(entry.link)
        if links:
            added |= _linked(tar(), links)
        self._merge(added, hidden)

    def _merge(self, added: dict[Path, Watched], hidden: Iterable[Path]) -> None:
        gone = set(hidden)
        files = {path for path, watched in added.items() if watched.kind is not Kind.DIRECTORY}
        for path in list(self.found):
            parents = [path[:end] for end in range(len(path))]
            opaque = any((*parent, OPAQUE_MARKER) in gone for parent in parents)
            if opaque or not gone.isdisjoint([path, *parents]) or not files.isdisjoint(parents):
                del self.found[path]
        self.found |= added


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


def _watched(entry: Entry, reader: TarReader) -> Watched:
    small = entry.kind is Kind.FILE and entry.size <= MAX_DOCUMENT_SIZE
    return Watched(entry.kind, entry.owner, reader.whole() if small else None)


def _linked(tar: Chunks, links: dict[Path, Path]) -> dict[Path, Watched]:
    """Return the targets of the links, by the links' paths. A link to nothing in this tar is left
    out."""
    targets = set(links.values())
    watched = {
        path: _watched(entry, reader) for path, entry, reader in _entries(tar) if path in targets
    }
    return {path: watched[target] for path, target in links.items() if target in watched}
