"""The tar of one OCI layer: files of a commit, and files written for this image.

All times are zero, as in a deployment. A file that ostree stores once is in the tar once: a file
with the same content, owner and xattrs as an earlier one is a hard link to it. The headers are for
bootc's reader too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.repo.labels import unlabelled
from importer.repo.reachable import check_breadth
from importer.repo.values import RepoDirectory
from layers.entry import Entry, Kind, Owner
from layers.errors import printable
from layers.frozen import frozen
from layers.path import Path, joined
from layers.tar.writer import END, fits_line, header, padding
from layers.tree.lower import each_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from importer.repo.writer import Repo
    from layers.chunks import Chunks

# File systems limit the links of a file (ext4: 65,000). The one that the tar is unpacked on may
# allow fewer.
_MOST_LINKS = 1000


@frozen
class PackedFile:
    """A file or symlink that is not in the commit: its content, or its target."""

    owner: Owner
    content: bytes = b""
    target: bytes | None = None


# A directory of a commit with all that is in it, an object's checksum, or a new file.
type Source = RepoDirectory | str | PackedFile


@dataclass(slots=True)
class _Linked:
    path: bytes
    owner: Owner
    links: int = 1


class EmbeddedTar:
    """Writes one tar.

    `owner_of` returns the owner of a directory that is no member, but above one, without a label.
    `by_lines` writes headers for bootc's reader; see `layers.tar.writer.header`.
    Afterwards `xattrs` has the names of the members' xattrs, and `unusual` the paths whose xattrs
    no tar can hold for both bootc and podman.
    """

    def __init__(
        self, repo: Repo, owner_of: Callable[[Path], Owner], *, by_lines: bool = True
    ) -> None:
        self._by_lines = by_lines
        self._repo = repo
        self._owner_of = owner_of
        self._listed: set[Path] = set()
        self._linked: dict[str, _Linked] = {}
        self.xattrs: set[bytes] = set()
        self.unusual: list[bytes] = []

    def chunks(self, members: Mapping[Path, Source]) -> Chunks:
        """Yield the tar of these members and of the directories that lead to them."""
        for path, source in sorted(members.items(), key=lambda member: member[0]):
            yield from self._parents(path)
            match source:
                case RepoDirectory():
                    yield from self._directory(path, source)
                case str():
                    yield from self._stored(path, source)
                case PackedFile():
                    yield from self._new(path, source)
        yield END

    def _parents(self, path: Path) -> Iterable[bytes]:
        for end in range(1, len(path)):
            parent = path[:end]
            if parent not in self._listed:
                self._listed.add(parent)
                entry = Entry(joined(parent), Kind.DIRECTORY, self._owner_of(parent))
                yield header(entry, by_lines=self._by_lines)

    def _directory(self, top: Path, root: RepoDirectory) -> Chunks:
        check_breadth(root, printable(joined(top)))
        for path, directory in each_directory(root, top):
            owner = self._repo.dirmeta(directory.meta)
            yield self._header(Entry(joined(path), Kind.DIRECTORY, owner))
            for name, checksum in sorted(directory.leaves.items()):
                yield from self._stored((*path, name), checksum)

    def _stored(self, path: Path, checksum: str) -> Chunks:
        linked = self._linked.get(checksum)
        if linked is not None and linked.links < _MOST_LINKS:
            linked.links += 1
            yield self._header(Entry(joined(path), Kind.HARDLINK, linked.owner, link=linked.path))
            return
        file = self._repo.file(checksum)
        if file.target is not None:
            entry = Entry(joined(path), Kind.SYMLINK, file.owner, link=file.target.encode())
            yield self._header(entry)
            return
        yield self._header(Entry(joined(path), Kind.FILE, file.owner, file.size))
        if file.size:  # an empty file is not worth a link
            self._linked[checksum] = _Linked(joined(path), file.owner._replace(xattrs=()))
            yield from self._repo.content(checksum)
            yield padding(file.size)

    def _new(self, path: Path, file: PackedFile) -> Iterable[bytes]:
        if file.target is not None:
            return [self._header(Entry(joined(path), Kind.SYMLINK, file.owner, link=file.target))]
        size = len(file.content)
        entry = Entry(joined(path), Kind.FILE, file.owner, size)
        return [self._header(entry), file.content, padding(size)]

    def _header(self, entry: Entry) -> bytes:
        """Return the entry's headers, without an SELinux label: bootc labels each file by the
        image's policy. Note its xattrs."""
        entry = entry._replace(owner=unlabelled(entry.owner))
        xattrs = entry.owner.xattrs
        self.xattrs.update(name for name, _ in xattrs)
        if not all(fits_line(*xattr) for xattr in xattrs):
            self.unusual.append(entry.path)
        return header(entry, by_lines=self._by_lines)
