"""Help another process to write a layer: take batches of its small files, and write them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from importer.repo.staging import NewObjects, Place

if TYPE_CHECKING:
    from importer.workers.job import Store
    from importer.workers.shared_queue import Answer, Batch, SharedQueue


def write_batch(store: Store, queue: SharedQueue, batch: Batch) -> tuple[str, ...]:
    """Store the files of a batch. Return their checksums, in order."""
    return tuple(
        store.write_symlink(file.owner, file.target)
        if file.target
        else store.write_file(file.owner, content)
        for file, content in queue.contents(batch)
    )


class HelpedObjects(NewObjects):
    """New objects of the process that reads a layer; helpers take batches of files from `queue`."""

    def __init__(self, place: Place, queue: SharedQueue) -> None:
        """`place` is where the objects go. The umask of this process has to be 0."""
        super().__init__(place, umask=0)
        self.queue = queue


def help_reader(queue: SharedQueue, place: Place, number: int) -> int:
    """Write batches into `place` until there are no more, or helper `number` is told to stop.

    Return the bytes that the new files take. A batch's error is sent to the reader of the layer,
    which raises it.
    """
    objects = NewObjects(place, umask=0)
    umask = os.umask(0)
    try:
        for batch in queue.batches(number):
            queue.answer(batch.slot, _answer(objects, queue, batch))
    except BrokenPipeError:
        pass  # the reader is gone, and the importing process tells why
    finally:
        objects.close()
        os.umask(umask)
    return objects.written_bytes


def _answer(store: Store, queue: SharedQueue, batch: Batch) -> Answer:
    try:
        return write_batch(store, queue, batch)
    except Exception as error:
        return error
