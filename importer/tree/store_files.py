"""Store a tree's files as objects, several batches at once, each in a worker process."""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError
from importer.tree.cache_file import SUM_SIZE
from importer.tree.file_batch import FileBatch
from importer.workers.tasks import Tasks
from layers.errors import printable
from layers.path import joined

if TYPE_CHECKING:
    from types import TracebackType

    from importer.files.foreign import ForeignDirectory
    from importer.progress import Advance, Progress
    from importer.repo.writer import Repo
    from importer.tree.file_batch import StoredFiles, TreeFile
    from importer.tree.known_files import KnownFiles
    from importer.tree.result import TreeCounts
    from layers.ondisk.commit_filter import Bits
    from layers.ostree.objects import Stored as Directory
    from layers.tree.node import Leaf

    type Batch = list[tuple[TreeFile, Leaf]]

# A batch is large enough that sending it to a process costs little, and small enough that all
# processes have work until the end.
_BATCH_FILES = 256
_BATCH_BYTES = 8 << 20
# A tree with fewer files is stored without starting a process.
_FEW = 16
# How many batches may wait for each process.
_AHEAD = 16

_TOO_LARGE = (
    "if you want to commit that much, raise max-size in the config file; the holes of sparse files"
    " count"
)


class FileStore:
    """A store for files, added one by one; on leaving, all their leaves have checksums.

    An error of a batch is raised by `check`, or on leaving.
    """

    def __init__(
        self,
        repo: Repo,
        root: ForeignDirectory,
        cache: KnownFiles,
        counts: TreeCounts,
        progress: Progress,
        *,
        jobs: int,
        most: int,
        keep_xattrs: bool,
    ) -> None:
        """Add the files to `counts`. `most` is how many bytes all counted files may have."""
        self._counts = counts
        self._repo = repo
        self._root = root
        self._cache = cache
        self._progress = progress
        self._keep_xattrs = keep_xattrs
        self._bytes = 0
        self._before = counts.read_bytes
        self._most = most - self._before
        self._tasks = Tasks(jobs, FileBatch.__module__)
        self._running: dict[Future[StoredFiles], Batch] = {}
        self._failed: BaseException | None = None
        # Without this bound the walk would run far ahead, and keep all waiting files in memory.
        self._most_running = jobs * _AHEAD
        self._batch: Batch = []
        self._batch_bytes = 0
        self._first: dict[TreeFile, Leaf] = {}
        self._others: list[tuple[Leaf, Leaf]] = []
        self._objects = os.open(repo.path / "objects", os.O_RDONLY | os.O_DIRECTORY)
        self._suffix = ".filez" if repo.mode == "archive" else ".file"
        self._metas: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._tasks.close()
            os.close(self._objects)

    def _finish(self) -> None:
        """Wait until all files are stored, and show progress: the total of bytes is known now."""
        if not self._running and len(self._batch) <= _FEW:
            job = self._job(self._batch)
            stored = job.read(self._repo, self._root.descriptor, lambda _count: None)
            self._take(self._batch, stored)
        else:
            self._hand_over()
        if self._running:
            with self._progress.blob(printable(self._root.path), self._bytes) as advance:
                advance(self._counts.read_bytes - self._before)
                self._take_done(0, advance)
        self.check()
        for leaf, first in self._others:
            leaf.checksum = first.checksum

    def enter(self, path: bytes, descriptor: int, device: int) -> None:
        """Note that the next files are in this open directory; `path` is for messages."""
        if self._cache.is_kept:
            self._cache.file_systems.enter(path, descriptor, device)

    def find(self, status: os.stat_result, bits: Bits, label: bytes | None) -> str | None:
        """Return the checksum of the file's object if the cache knows it and the repo has it."""
        self._counts.files += 1
        checksum = self._cache.find(status, bits, label, self._has)
        self._counts.cached += checksum is not None
        return checksum

    def add(self, file: TreeFile, leaf: Leaf, *, links: int) -> None:
        """Store the file; `links` is how many names it has. Raise ImporterError if there are too
        many bytes."""
        if links > 1:
            # A hard link of a file with the same options is read only once.
            first = self._first.setdefault(file._replace(directory=(), name=b""), leaf)
            if first is not leaf:
                self._others.append((leaf, first))
                return
        self._batch.append((file, leaf))
        self._batch_bytes += file.seen.size
        self._bytes += file.seen.size
        if self._bytes > self._most:
            raise ImporterError(
                "with this file there are too many bytes",
                hint=_TOO_LARGE,
                path=self._root.full(joined(file.path)),
            )
        if len(self._batch) >= _BATCH_FILES or self._batch_bytes >= _BATCH_BYTES:
            self._hand_over()

    def has_files(self, checksums: bytes) -> bool:
        """Return whether the repo has the files of these checksums, 32 bytes each. If so, count
        them as found in the cache."""
        objects, suffix, text = self._objects, self._suffix, checksums.hex()
        size = 2 * SUM_SIZE
        for at in range(0, len(text), size):
            name = f"{text[at : at + 2]}/{text[at + 2 : at + size]}{suffix}"
            if not os.access(name, os.F_OK, dir_fd=objects):
                return False
        self._counts.files += len(text) // size
        self._counts.cached += len(text) // size
        return True

    def has_directory(self, stored: Directory) -> bool:
        """Return whether the repo has the directory's two objects."""
        if stored.meta not in self._metas and self._has_object(stored.meta, ".dirmeta"):
            self._metas.add(stored.meta)
        return stored.meta in self._metas and self._has_object(stored.contents, ".dirtree")

    def _has(self, checksum: str) -> bool:
        return self._has_object(checksum, self._suffix)

    def _has_object(self, checksum: str, suffix: str) -> bool:
        name = f"{checksum[:2]}/{checksum[2:]}{suffix}"
        return os.access(name, os.F_OK, dir_fd=self._objects)

    def check(self) -> None:
        """Raise the error of a batch that has failed, if there is one."""
        if self._failed is not None:
            raise self._failed

    def _hand_over(self) -> None:
        if self._batch:
            self._take_done(self._most_running - 1, lambda _count: None)
            job, source = self._job(self._batch), self._root.descriptor
            self._running[self._tasks.begin_job(self._repo, job, source)] = self._batch
            self._batch, self._batch_bytes = [], 0

    def _job(self, batch: Batch) -> FileBatch:
        files = tuple(file for file, _ in batch)
        return FileBatch(self._root.path, files, self._keep_xattrs)

    def _take_done(self, most: int, advance: Advance) -> None:
        """Take the results of batches, as many as there are, and until at most `most` run. Keep an
        error for `check`: here it would get the path of the directory that is being walked."""
        done = [stored for stored in self._running if stored.done()]
        while done or len(self._running) > most:
            for stored in done or wait(self._running, return_when=FIRST_COMPLETED).done:
                batch = self._running.pop(stored)
                if (error := stored.exception()) is None:
                    advance(self._take(batch, stored.result()))
                self._failed = self._failed or error
            done = []

    def _take(self, batch: Batch, stored: StoredFiles) -> int:
        """Set the leaves' checksums. Return the bytes of the batch's files."""
        for number, (file, leaf) in enumerate(batch):
            leaf.checksum = stored.checksums[number]
            if number not in stored.merged:
                self._cache.add(file, leaf.checksum)
        size = sum(file.seen.size for file, _ in batch)
        self._counts.read += len(batch)
        self._counts.read_bytes += size
        return size
