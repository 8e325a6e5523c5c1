"""Write a layer's files as objects while its tar is still read."""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from importer.ingest.read_ahead import AbandonedError, Channel
from importer.repo.new_objects import WHOLE
from layers.entry import Kind
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor
    from types import TracebackType

    from importer.workers.job import Store
    from layers.chunks import Chunks
    from layers.entry import Entry
    from layers.tree.node import Leaf

# How many batches may wait for the writers; each has at most _BATCH_SIZE bytes and one file more.
_WAITING = 3
_BATCH_SIZE = 1 << 20
_BATCH_COUNT = 128


class CurrentFile(Protocol):
    """The content of the current file; `layers.tree.layer_reader.LayerReader` has it."""

    def whole(self) -> bytes:
        """Return the content in one piece."""

    def content(self) -> Chunks:
        """Yield the content in pieces, which the caller has to read to the end."""


class _SmallFile(NamedTuple):
    leaf: Leaf
    entry: Entry
    content: bytes


class ObjectWriter:
    """Stores files: large ones in threads, small ones in batches if the store is slow, else at
    once.

    When the context ends, all files are stored. The first error of a thread is raised when a later
    file is added, or on leaving.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_batches = store.is_slow
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()
        self._batch: list[_SmallFile] = []
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
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)

    def add(self, leaf: Leaf, entry: Entry, contents: CurrentFile) -> None:
        """Store the current entry, now or later, and then set the leaf's checksum."""
        if entry.size > WHOLE:
            self._add_large(leaf, entry, contents)
            return
        content = contents.whole() if entry.kind is Kind.FILE else b""
        if not self._in_batches:
            leaf.checksum = self._written(entry, content)
            return
        self._batch.append(_SmallFile(leaf, entry, content))
        self._batch_size += len(content)
        if self._batch_size > _BATCH_SIZE or len(self._batch) >= _BATCH_COUNT:
            self._hand_over()

    def _written(self, entry: Entry, content: bytes) -> str:
        if entry.kind is Kind.FILE:
            return self._store.write_file(entry.owner, content)
        return self._store.write_symlink(entry.owner, entry.link.decode())

    def _add_large(self, leaf: Leaf, entry: Entry, contents: CurrentFile) -> None:
        channel = Channel()
        written = self._begin(partial(self._write_large, leaf, entry, channel))
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
        self._wait_for(written)

    def _write_large(self, leaf: Leaf, entry: Entry, channel: Channel) -> None:
        try:
            leaf.checksum = self._store.write_large_file(entry.owner, entry.size, iter(channel))
        except Fault as fault:
            raise fault.within(path=entry.path) from None
        finally:
            channel.abandon()

    def _hand_over(self) -> None:
        if self._batch:
            self._wait_for(self._begin(partial(self._write_batch, self._batch)))
            self._batch, self._batch_size = [], 0

    def _begin(self, work: Callable[[], None]) -> Future[None]:
        """Begin to write in a thread. Small files mostly need none, and no `logging` with it."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            threads = min(len(os.sched_getaffinity(0)), _WAITING)
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="writer")
        return self._pool.submit(work)

    def _wait_for(self, written: Future[None]) -> None:
        """Note a file or batch that a thread writes. If too many are noted, wait for the oldest."""
        if len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(written)

    def _write_batch(self, batch: list[_SmallFile]) -> None:
        for file in batch:
            file.leaf.checksum = self._written(file.entry, file.content)
