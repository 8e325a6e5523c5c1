"""The tar of one OCI layer: files of a commit, and files written for this image.

All times are zero, as in a deployment. A file that ostree stores once is in the tar once: a file
with the same content, owner and xattrs as an earlier one is a hard link to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.repo.breadth import check_breadth
from importer.repo.labels import SELINUX
from importer.repo.values import RepoDirectory
from layers.entry import Entry, Kind, Owner
from layers.errors import printable
from layers.path import Path, joined
from layers.tar.writer import END, header, padding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from importer.repo.values import StoredFile
    from importer.repo.writer import Repo
    from layers.chunks import Chunks

CAPABILITY = b"security.capability"
# File systems limit the links of a file (ext4: 65,000). The one that the tar is unpacked on may
# allow fewer.
_MOST_LINKS = 1000


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file or symlink that is not in the commit: its content, or its target."""

    owner: Owner
    content: bytes = b""
    target: bytes | None = None


# A directory of a commit with all that is in it, an object's checksum, or a new file.
type Source = RepoDirectory | str | NewFile


@dataclass(slots=True)
class _Linked:
    path: bytes
    owner: Owner
    links: int = 1


class LayerTar:
    """Writes one tar.

    `owner_of` returns the owner of a directory that is no member, but above one. Afterwards
    `capable` tells whether a file has capabilities (capabilities(7), "File capabilities").
    """

    def __init__(self, repo: Repo, owner_of: Callable[[Path], Owner]) -> None:
        self._repo = repo
        self._owner_of = owner_of
        self._listed: set[Path] = set()
        self._linked: dict[str, _Linked] = {}
        self.capable = False

    def chunks(self, members: Mapping[Path, Source]) -> Chunks:
        """Yield the tar of these members and of the directories that lead to them."""
        for path, source in sorted(members.items(), key=lambda member: member[0]):
            yield from self._parents(path)
            match source:
                case RepoDirectory():
                    yield from self._directory(path, source)
                case str():
                    yield from self._stored(path, source)
                case NewFile():
                    yield from _new(path, source)
        yield END

    def _parents(self, path: Path) -> Iterable[bytes]:
        for end in range(1, len(path)):
            parent = path[:end]
            if parent not in self._listed:
                self._listed.add(parent)
                yield _directory_header(parent, self._owner_of(parent))

    def _directory(self, top: Path, root: RepoDirectory) -> Chunks:
        check_breadth(root, printable(joined(top)))
        work = [(top, root)]
        while work:
            path, directory = work.pop()
            yield _directory_header(path, self._repo.dirmeta(directory.meta))
            for name, checksum in sorted(directory.leaves.items()):
                yield from self._stored((*path, name), checksum)
            for name, below in sorted(directory.directories.items(), reverse=True):
                work.append(((*path, name), below))

    def _stored(self, path: Path, checksum: str) -> Chunks:
        linked = self._linked.get(checksum)
        if linked is not None and linked.links < _MOST_LINKS:
            linked.links += 1
            yield header(Entry(joined(path), Kind.HARDLINK, linked.owner, link=linked.path))
            return
        file = self._repo.file(checksum)
        owner = unlabelled(file.owner)
        if file.target is not None:
            yield header(Entry(joined(path), Kind.SYMLINK, owner, link=file.target.encode()))
            return
        self._note(path, file, owner)
        yield header(Entry(joined(path), Kind.FILE, owner, file.size))
        if file.size:
            yield from self._repo.content(checksum)
            yield padding(file.size)

    def _note(self, path: Path, file: StoredFile, owner: Owner) -> None:
        """Note the file's path for later hard links to it; an empty file is not worth a link."""
        if file.size:
            self._linked[file.checksum] = _Linked(joined(path), owner._replace(xattrs=()))
        self.capable |= any(name == CAPABILITY for name, _ in owner.xattrs)


def _new(path: Path, file: NewFile) -> Iterable[bytes]:
    if file.target is not None:
        return [header(Entry(joined(path), Kind.SYMLINK, file.owner, link=file.target))]
    size = len(file.content)
    entry = Entry(joined(path), Kind.FILE, file.owner, size)
    return [header(entry), file.content, padding(size)]


def _directory_header(path: Path, owner: Owner) -> bytes:
    return header(Entry(joined(path), Kind.DIRECTORY, unlabelled(owner)))


def unlabelled(owner: Owner) -> Owner:
    """Return the owner without an SELinux label: bootc labels each file by the image's policy."""
    return owner._replace(xattrs=tuple(one for one in owner.xattrs if one[0] != SELINUX))
