"""The tar that a stored tree makes: its digest, its size, and the record to make it again."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from importer.repo.writer import Repo
from layers.chunks import check_size
from layers.digest import Digest
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
    from layers.path import Path as TarPath

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
        self._limits = limits
        self._bound = Bound(limits)
        self._repo = repo
        self._hasher = sha256()
        self._split = TarSplit()
        self._root = root
        self._size = 0
        self._large: set[str] = set()  # the checksums of large files
        self._different = self._repeated = 0  # bytes of these
        self._uids: set[int] = set()
        self._gids: set[int] = set()

    def tar(self) -> Tar:
        """Read the tree. Raise LayerError if the tar breaks the limits."""
        self._add_all()
        self._raw(END)
        digest = Digest("sha256", self._hasher.hexdigest())
        uids, gids = frozenset(self._uids), frozenset(self._gids)
        record = self._split.finish()
        return Tar(digest, self._size, self._bound.entries, record, uids, gids)

    def _add_all(self) -> None:
        for path, directory in each_directory(self._root):
            if path:
                self._add_directory(path, directory.meta)
            for name, checksum in sorted(directory.leaves.items()):
                self._add_leaf((*path, name), checksum)

    def _add_directory(self, path: TarPath, meta: str) -> None:
        self._add_header(Entry(joined(path), Kind.DIRECTORY, self._repo.dirmeta(meta)))

    def _add_leaf(self, path: TarPath, checksum: str) -> None:
        file = self._repo.file(checksum)
        if file.target is not None:
            link = file.target.encode()
            self._add_header(Entry(joined(path), Kind.SYMLINK, file.owner, link=link))
            return
        entry = Entry(joined(path), Kind.FILE, file.owner, file.size)
        self._add_header(entry)
        self._check_repeats(entry, checksum)
        self._add_content(entry, checksum)

    def _add_header(self, entry: Entry) -> None:
        self._bound.count(entry)
        check_size(self._size + entry.size, self._limits.size)
        self._uids.add(entry.owner.uid)
        self._gids.add(entry.owner.gid)
        self._raw(header(entry))

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

    def _add_content(self, entry: Entry, checksum: str) -> None:
        self._split.begin_file(entry.path, entry.size)
        if entry.size:
            for chunk in self._repo.content(checksum):
                self._hash(chunk)
                self._split.content(chunk)
        self._split.end_file()
        self._raw(padding(entry.size))

    def _raw(self, data: bytes) -> None:
        self._hash(data)
        self._split.raw(data)

    def _hash(self, data: bytes) -> None:
        self._hasher.update(data)
        self._size += len(data)
