"""The tar that a stored tree makes: its digest, its size, and the record to make it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from importer.repo.writer import Repo
from layers.chunks import Hashed, check_size, drain
from layers.entry import Entry, Kind
from layers.errors import LayerError
from layers.frozen import frozen
from layers.limits import Bound, Limits
from layers.ostree.objects import Stored
from layers.path import joined
from layers.tar.writer import END, header, padding
from layers.tarsplit.record_writer import TarSplit
from layers.tree.lower import each_directory

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory
    from layers.chunks import Chunks
    from layers.digest import Digest

# A small image with many hard links to a large file makes a tar as large as the limits allow. Files
# of at least _LARGE bytes may repeat up to _MUCH bytes, or up to _TIMES the bytes of the different
# ones. Smaller files do not count, so that few checksums are kept.
_LARGE = 1 << 20
_MUCH = 4 << 30
_TIMES = 20


@frozen
class Tar:
    """The tar of a tree: its digest, size in bytes, number of entries, tar-split file, and the
    owners in it."""

    digest: Digest
    size: int
    entries: int
    record: bytes
    uids: frozenset[int]
    gids: frozenset[int]


@frozen
class ReadTree:
    """A task: make the tar of a tree that the repo has, within the limits of a layer."""

    repo: Path
    tree: Stored
    limits: Limits

    def run(self) -> Tar:
        """Read every file. Raise LayerError if the tar breaks the limits, ImporterError if an
        object cannot be read."""
        repo = Repo.open(self.repo)
        return TreeTar(repo, repo.directory(*self.tree), self.limits).tar()


class TreeTar:
    """Reads every file of the tree once; the root itself is no member of the tar."""

    def __init__(self, repo: Repo, root: RepoDirectory, limits: Limits) -> None:
        self._repo = repo
        self._root = root
        self._limits = limits
        self._bound = Bound(limits)
        self._split = TarSplit()
        self._hashed = Hashed(self._chunks())
        self._large: set[str] = set()  # the checksums of large files
        self._different = self._repeated = 0  # bytes of these
        self._uids: set[int] = set()
        self._gids: set[int] = set()

    def tar(self) -> Tar:
        """Read the tree. Raise LayerError if the tar breaks the limits."""
        drain(iter(self._hashed))
        uids, gids = frozenset(self._uids), frozenset(self._gids)
        digest, size, record = self._hashed.digest, self._hashed.size, self._split.finish()
        return Tar(digest, size, self._bound.entries, record, uids, gids)

    def _chunks(self) -> Chunks:
        for path, directory in each_directory(self._root):
            if path:
                owner = self._repo.dirmeta(directory.meta)
                yield self._header(Entry(joined(path), Kind.DIRECTORY, owner))
            for name, checksum in sorted(directory.leaves.items()):
                yield from self._leaf(joined((*path, name)), checksum)
        yield self._raw(END)

    def _leaf(self, path: bytes, checksum: str) -> Chunks:
        file = self._repo.file(checksum)
        if file.target is not None:
            yield self._header(Entry(path, Kind.SYMLINK, file.owner, link=file.target.encode()))
            return
        entry = Entry(path, Kind.FILE, file.owner, file.size)
        yield self._header(entry)
        self._check_repeats(entry, checksum)
        self._split.begin_file(path, file.size)
        for chunk in self._repo.intact(file):
            self._split.content(chunk)
            yield chunk
        self._split.end_file()
        yield self._raw(padding(file.size))

    def _header(self, entry: Entry) -> bytes:
        self._bound.count(entry)
        check_size(self._hashed.size + entry.size, self._limits.size)
        self._uids.add(entry.owner.uid)
        self._gids.add(entry.owner.gid)
        return self._raw(header(entry))

    def _raw(self, data: bytes) -> bytes:
        self._split.raw(data)
        return data

    def _check_repeats(self, entry: Entry, checksum: str) -> None:
        if entry.size < _LARGE:
            return
        if checksum not in self._large:
            self._large.add(checksum)
            self._different += entry.size
            return
        self._repeated += entry.size
        if self._repeated > max(_MUCH, _TIMES * self._different):
            raise LayerError(
                f"files of {self._different:,} bytes repeat to {self._repeated:,} bytes and more",
                path=entry.path,
                hint="the image was made as a trap for --flatten",
            )
