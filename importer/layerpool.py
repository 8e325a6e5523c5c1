"""Layers in the making, several at once: some are read while others are closed."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Self

from importer.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from importer.layer import ReadLayer
    from layers.image import ImageLayer

# One more than can be unpacked at full speed, since another's blob is often slower to come
# than a processor to unpack it.
_READ = 2
# What is known of a layer's files stays in memory until it is closed, so not many more than
# are read may be begun.
_BEGUN = 5
_CLOSED = 4


class LayerPool:
    """Reads the layers in the order in which they are submitted, and closes each once it is
    read and its parent, which has to come first, is closed.

    On leaving, all are done.
    """

    def __init__(self) -> None:
        self._writers = Writers()
        self._ended = 0
        self._changed = threading.Condition()
        self._readers = ThreadPoolExecutor(_READ, thread_name_prefix="read")
        self._closers = ThreadPoolExecutor(_CLOSED, thread_name_prefix="close")
        self._done: dict[str, Future[None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._readers.shutdown()
        self._closers.shutdown()
        self._writers.close()

    @property
    def done(self) -> Mapping[str, Future[None]]:
        """By the layers' ids; one whose parent has failed has that one's error."""
        return self._done

    def submit(
        self,
        layer: ImageLayer,
        read: Callable[[Writers], ReadLayer],
        close: Callable[[ReadLayer], None],
    ) -> None:
        """Take on a layer; what reads it is given processes to write its files with."""
        parent = self._done.get(layer.parents[0]) if layer.parents else None
        found = self._readers.submit(self._read, len(self._done), read)
        self._done[layer.id] = self._closers.submit(self._close, found, parent, close)

    def wait(self, stop: Callable[[], None]) -> None:
        """Until all are done, or one has failed: then `stop` is to make the others fail as
        well, and its error is raised."""
        done, running = wait(self._done.values(), return_when=FIRST_EXCEPTION)
        if any(future.exception() is not None for future in done):
            stop()
            wait(running)
        for future in self._done.values():  # the parents' errors first
            if future in done:
                future.result()

    def _read(self, number: int, read: Callable[[Writers], ReadLayer]) -> ReadLayer:
        """The first layer that has not ended never waits here: all before it have."""
        with self._changed:
            while number >= self._ended + _BEGUN:
                self._changed.wait()
        return read(self._writers)

    def _close(
        self,
        found: Future[ReadLayer],
        parent: Future[None] | None,
        close: Callable[[ReadLayer], None],
    ) -> None:
        try:
            layer = found.result()
            if parent is not None:
                parent.result()
            close(layer)
        finally:
            with self._changed:
                self._ended += 1
                self._changed.notify_all()
