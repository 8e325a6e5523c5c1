"""Writes a layer's files as objects while its tar goes on streaming."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from importer.channel import AbandonedError, Channel
from layers.entry import Entry, Kind
from layers.errors import Fault

if TYPE_CHECKING:
    from types import TracebackType

    from importer.repo import Repo
    from layers.tree import Leaf
    from layers.verify import Chunks

# A file larger than this is streamed; smaller ones are held whole, so that one thread can
# read the tar while others hash and write.
WHOLE = 1 << 20
# What waits for the writers at most: this many batches, of at most _BATCH_SIZE and one file.
_WAITING = 3
_BATCH_SIZE = 1 << 20
_BATCH_COUNT = 128
_WRITERS = min(2, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class _Job:
    leaf: Leaf
    entry: Entry
    content: bytes


class Contents(Protocol):
    """Whoever gives out files one after the other; a `layers.layer.LayerReader`."""

    def whole(self) -> bytes:
        """The current file's content."""

    def content(self) -> Chunks:
        """The same in pieces, to be read to its end."""


class ObjectWriter:
    """Hands files to writer threads, in batches; on leaving, all are stored.

    The first error of a writer is raised where a later file is added, or on leaving.
    """

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="writer")
        self._waiting: deque[Future[None]] = deque()
        self._batch: list[_Job] = []
        self._batch_size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._hand_over()
                for written in self._waiting:
                    written.result()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def add(self, leaf: Leaf, entry: Entry, contents: Contents) -> None:
        """Store the entry that its layer is at, and set the leaf's checksum sooner or later."""
        if entry.size > WHOLE:
            self._add_large(leaf, entry, contents)
            return
        content = contents.whole() if entry.kind is Kind.FILE else b""
        self._batch.append(_Job(leaf, entry, content))
        self._batch_size += len(content)
        if self._batch_size > _BATCH_SIZE or len(self._batch) >= _BATCH_COUNT:
            self._hand_over()

    def _add_large(self, leaf: Leaf, entry: Entry, contents: Contents) -> None:
        channel = Channel()
        written = self._pool.submit(self._write_large, leaf, entry, channel)
        try:
            for chunk in contents.content():
                channel.put(chunk)
        except AbandonedError:
            written.result()
            raise
        except BaseException as error:
            channel.end(error)
            raise
        channel.end()
        self._waiting.append(written)

    def _write_large(self, leaf: Leaf, entry: Entry, channel: Channel) -> None:
        try:
            leaf.checksum = self._repo.write_large_file(entry.owner, entry.size, iter(channel))
        except Fault as fault:
            raise fault.within(path=entry.path) from None
        finally:
            channel.abandon()

    def _hand_over(self) -> None:
        if len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._write_batch, self._batch))
        self._batch, self._batch_size = [], 0

    def _write_batch(self, batch: list[_Job]) -> None:
        files = [(job.entry.owner, job.entry.link.decode(), job.content) for job in batch]
        for job, checksum in zip(batch, self._repo.write_files(files), strict=True):
            job.leaf.checksum = checksum
