"""The tar that a stored tree makes: its digest, its size, and the record to make it again."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from layers.chunks import check_size
from layers.digest import Digest
from layers.entry import Entry, Kind
from layers.limits import Bound, Limits
from layers.path import Path, joined
from layers.tar.writer import END, header, padding
from layers.tarsplit.record_writer import TarSplit

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo


class TreeTar:
    """Reads every file of the tree once; the root itself is no member of the tar.

    `size` is that of the whole tar in bytes, `record` its tar-split file.
    """

    def __init__(self, repo: Repo, root: RepoDirectory, limits: Limits) -> None:
        self._limits = limits
        self._bound = Bound(limits)
        self._repo = repo
        self._hasher = sha256()
        self._split = TarSplit()
        self.size = 0
        self.uids: set[int] = set()
        self.gids: set[int] = set()
        self._add_all(root)
        self._raw(END)
        self.digest = Digest("sha256", self._hasher.hexdigest())
        self.record = self._split.finish()

    def _add_all(self, root: RepoDirectory) -> None:
        work: list[tuple[Path, RepoDirectory]] = [((), root)]
        while work:
            path, directory = work.pop()
            if path:
                self._add_directory(path, directory.meta)
            for name, checksum in sorted(directory.leaves.items()):
                self._add_leaf((*path, name), checksum)
            for name, below in sorted(directory.directories.items(), reverse=True):
                work.append(((*path, name), below))

    def _add_directory(self, path: Path, meta: str) -> None:
        self._add_header(Entry(joined(path), Kind.DIRECTORY, self._repo.dirmeta(meta)))

    def _add_leaf(self, path: Path, checksum: str) -> None:
        file = self._repo.file(checksum)
        if file.target is not None:
            link = file.target.encode()
            self._add_header(Entry(joined(path), Kind.SYMLINK, file.owner, link=link))
            return
        entry = Entry(joined(path), Kind.FILE, file.owner, file.size)
        self._add_header(entry)
        self._add_content(entry, checksum)

    def _add_header(self, entry: Entry) -> None:
        self._bound.count(entry)
        check_size(self.size + entry.size, self._limits.size)
        self.uids.add(entry.owner.uid)
        self.gids.add(entry.owner.gid)
        self._raw(header(entry))

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
        self.size += len(data)
