"""Share the writing of a layer's small files with helper processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.workers.helper import write_batch
from importer.workers.shared_queue import SLOT_SIZE, SLOTS, Batch, File

if TYPE_CHECKING:
    from importer.workers.job import Store
    from importer.workers.shared_queue import Answer, SharedQueue
    from layers.tree.node import Leaf

# A batch is large enough that sending it to a process costs little, and small enough that its
# description fits into a packet.
_BATCH_SIZE = 1 << 20
_BATCH_COUNT = 128
# Milliseconds after which a reader that waits for helpers looks whether they are still there.
_LOOK = 200


class SharedWriter:
    """Puts files into batches, and batches into the queue from which helpers take. Sets the leaves'
    checksums when the files are written. For one thread."""

    def __init__(self, queue: SharedQueue, store: Store) -> None:
        self._queue = queue
        self._store = store
        self._free = list(range(SLOTS))
        self._slot = self._free.pop()
        self._files: list[File] = []
        self._filled = 0
        self._leaves: list[Leaf] = []
        self._sent: dict[int, list[Leaf]] = {}

    def add(self, leaf: Leaf, file: File, content: bytes) -> bool:
        """Take a file; its leaf has a checksum when `finish` returns. Return False if there are no
        helpers, so that the caller has to write the file. Raise the error of an earlier file.
        """
        if not self._queue.helpers:
            self._hand_over()
            return False
        if self._filled + file.size > SLOT_SIZE:
            self._hand_over()
        self._queue.place(self._slot, self._filled, content)
        self._files.append(file)
        self._leaves.append(leaf)
        self._filled += file.size
        if self._filled > _BATCH_SIZE or len(self._files) >= _BATCH_COUNT:
            self._hand_over()
        return True

    def finish(self) -> None:
        """Write the batches that no helper has taken, and wait for the others. Raise the error of a
        file."""
        self._hand_over()
        while self._sent:
            self._progress()

    def _hand_over(self) -> None:
        """Queue the batch, or write it here if the queue takes no more."""
        if not self._files:
            return
        batch, leaves = Batch(self._slot, tuple(self._files)), self._leaves
        self._files, self._leaves, self._filled = [], [], 0
        self._sent[batch.slot] = leaves
        if not self._queue.send(batch):
            self._write(batch)
        while not self._free:
            self._progress()
        self._slot = self._free.pop()

    def _progress(self) -> None:
        """Take the answers that have come. If there are none, take a batch back from the queue and
        write it here; if there is none either, wait for a moment."""
        answers = list(self._queue.answers())
        for slot, answer in answers:
            self._done(slot, answer)
        if answers:
            return
        if (batch := self._queue.take()) is not None:
            self._write(batch)
        elif self._queue.is_lost:
            raise ImporterError("a process that helped to write the layer's files is gone")
        else:
            self._queue.wait(_LOOK)

    def _write(self, batch: Batch) -> None:
        self._done(batch.slot, write_batch(self._store, self._queue, batch))

    def _done(self, slot: int, answer: Answer) -> None:
        if isinstance(answer, Exception):
            raise answer
        for leaf, checksum in zip(self._sent.pop(slot), answer, strict=True):
            leaf.checksum = checksum
        self._free.append(slot)
