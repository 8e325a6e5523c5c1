"""Layers in the making, several at once: some are read while others are closed."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol, Self

from importer.ingest.worker_pool import Readers
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import ReadLayer

# One more than can be unpacked at full speed, since another's blob is often slower to come
# than a processor to unpack it.
_READ = 2
# What is known of a layer's files stays in memory until it is closed, so not many more than
# are read may be begun: those that are on their way to the disk.
_BEGUN = 5

type Read = Callable[[Readers, Callable[[ReadLayer], None]], object]


class Group(Protocol):
    """Layers that are closed together; an `importer.cache.batch.LayerGroup`."""

    @property
    def written_bytes(self) -> int:
        """What it added to the repo."""

    def writing(self) -> AbstractContextManager[object]:
        """A transaction for their trees."""

    def write(self, layer: ImageLayer, found: ReadLayer) -> None:
        """Write a layer's tree; Fault if there is none."""

    def commit(self, layers: Iterable[ImageLayer]) -> None:
        """Commit those of them, and set their branches."""


@dataclass(slots=True, eq=False)
class _Layer:
    """`found` is there once the layer is read, `durable` once its files are as well, and `done`
    when it is closed, or has failed."""

    number: int
    layer: ImageLayer
    parent: _Layer | None
    size: int
    read: Read
    begun: bool = False
    reading: bool = False
    found: ReadLayer | None = None
    taken: bool = False
    durable: bool = False
    done: Future[None] = field(default_factory=Future)

    @property
    def error(self) -> BaseException | None:
        """Why it has failed."""
        return self.done.exception() if self.done.done() else None

    @property
    def is_ready(self) -> bool:
        """Whether its tree can be made; that of its parent is, in the same group or before, and
        can be read, as what is durable can."""
        if self.found is None or self.taken:
            return False
        return self.parent is None or (self.parent.taken and self.parent.durable)


class LayerPool:
    """Reads the layers, of those that were submitted first the largest first, so that no large
    one is left alone at the end; and closes each once it is read and its parent, which has to
    come first, is closed.

    A layer's tree is made while its files are still on their way to the disk, and those that
    are there at the same time are closed together, since each sync of the disk takes a while.
    On leaving, all are done.
    """

    def __init__(self, group: Callable[[], Group]) -> None:
        self._group = group
        self._lent = Readers()
        self._changed = threading.Condition()
        self._readers = ThreadPoolExecutor(_BEGUN, thread_name_prefix="read")
        self._places = threading.Semaphore(_READ)
        self._closer = threading.Thread(target=self._close_all, name="close")
        self._layers: dict[str, _Layer] = {}
        self._open: dict[int, _Layer] = {}
        self._begun = 0
        self._complete = False
        self.written_bytes = 0  # by closing

    def __enter__(self) -> Self:
        self._closer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            self._begin()
        else:
            for one in [one for one in self._open.values() if one.number >= self._begun]:
                self._end(one, error)
        self._readers.shutdown()
        with self._changed:
            self._complete = True
            self._changed.notify_all()
        self._closer.join()
        self._lent.close()

    @property
    def done(self) -> Mapping[str, Future[None]]:
        """By the layers' ids; one whose parent has failed has that one's error."""
        return {name: one.done for name, one in self._layers.items()}

    def submit(self, layer: ImageLayer, size: int, read: Read) -> None:
        """Take on a layer, which is less work than one of a larger `size`. What reads it is given
        processes, to take one of, and hands over what it has read before it makes it durable;
        nothing is read before `wait`, or the end."""
        parent = self._layers.get(layer.parents[0]) if layer.parents else None
        one = _Layer(len(self._layers), layer, parent, size, read)
        self._layers[layer.id] = self._open[one.number] = one

    def wait(self, stop: Callable[[], None]) -> None:
        """Until all are done, or one has failed: then `stop` is to make the others fail as
        well, and its error is raised."""
        self._begin()
        futures = self.done.values()
        done, running = wait(futures, return_when=FIRST_EXCEPTION)
        if any(future.exception() is not None for future in done):
            stop()
            wait(running)
        for future in futures:  # the parents' errors first
            if future in done:
                future.result()

    # --- reading, in several threads ---

    def _begin(self) -> None:
        """Once more does nothing."""
        begun, self._begun = self._begun, len(self._layers)
        for _ in range(begun, self._begun):
            self._readers.submit(self._read)

    def _read(self) -> None:
        self._places.acquire()
        one = self._largest()
        try:
            one.read(self._lent, partial(self._found, one))
        except BaseException as error:
            self._end(one, error)
        else:
            with self._changed:
                one.durable = True
                self._changed.notify_all()
        finally:
            self._leave(one)

    def _leave(self, one: _Layer) -> None:
        """It is not being read any more; once more does nothing."""
        with self._changed:
            if one.reading:
                one.reading = False
                self._places.release()

    def _largest(self) -> _Layer:
        """Of those that may be begun; the first that has not ended always may."""
        with self._changed:
            while not (waiting := [one for one in self._first() if not one.begun]):
                self._changed.wait()
            largest = max(waiting, key=lambda one: one.size)
            largest.begun = largest.reading = True
        return largest

    def _first(self) -> list[_Layer]:
        """Those that are open, up to the last one that may have been begun."""
        end = next(iter(self._open), 0) + _BEGUN
        return list(takewhile(lambda one: one.number < end, self._open.values()))

    def _found(self, one: _Layer, found: ReadLayer) -> None:
        with self._changed:
            one.found = found
            self._changed.notify_all()
        self._leave(one)

    def _end(self, one: _Layer, error: BaseException | None = None) -> None:
        """Its first error counts."""
        with self._changed:
            if self._open.pop(one.number, None) is None:
                return
            one.found = None
            if error is None:
                one.done.set_result(None)
            else:
                one.done.set_exception(error)
            self._changed.notify_all()

    # --- closing, in one thread ---

    def _close_all(self) -> None:
        while (first := self._next([])) is not None:
            layers = [first]
            try:
                self._close(self._group(), layers)
            except BaseException as error:
                for one in layers:
                    self._end(one, error)

    def _close(self, group: Group, layers: list[_Layer]) -> None:
        with group.writing():
            self._write(group, layers[0])
            while (one := self._next(layers)) is not None:
                layers.append(one)
                self._write(group, one)
        for one in layers:
            self._end_with_parent(one)
        sound = [one for one in layers if one.error is None]
        if sound:
            group.commit(one.layer for one in sound)
        self.written_bytes += group.written_bytes
        for one in sound:
            self._end(one)

    def _write(self, group: Group, one: _Layer) -> None:
        found = one.found
        if found is None:
            return  # it could not be made durable, meanwhile
        try:
            group.write(one.layer, found)
        except Fault as fault:
            self._end(one, fault)

    def _next(self, layers: Sequence[_Layer]) -> _Layer | None:
        """The next whose tree can be made; None once the files of these are durable, or, where
        there are none, when all layers have ended."""
        with self._changed:
            while True:
                first = self._first()
                for one in first:
                    if one.found is not None:
                        self._end_with_parent(one)
                ready = next((one for one in first if one.is_ready), None)
                if ready is not None:
                    ready.taken = True
                    return ready
                if self._is_over(layers):
                    return None
                self._changed.wait()

    def _is_over(self, layers: Sequence[_Layer]) -> bool:
        if layers:
            return all(one.durable or one.done.done() for one in layers)
        return self._complete and not self._open

    def _end_with_parent(self, one: _Layer) -> None:
        if one.parent is not None and one.parent.error is not None:
            self._end(one, one.parent.error)
