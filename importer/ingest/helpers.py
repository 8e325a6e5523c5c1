"""Let idle processes help with large layers.

One process reads a layer: it unpacks the tar and reads its entries. If fewer layers are read than
--jobs allows, the other processes help to write the small files of the largest ones, which they
take from an `importer.workers.shared_queue.SharedQueue`.
"""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from importer.workers.shared_queue import MOST_HELPERS, SharedQueue

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from importer.repo.writer import Repo
    from importer.workers.pool import Workers

# The most helpers of a layer: one process reads entries about three times as fast as another one
# writes the files (docs/performance.md, "Where the time goes").
_MOST = 3
# A layer with a blob of fewer bytes gets no helpers: it is read before they have started.
_WORTH = 16 << 20


def shares[K: Hashable](jobs: int, sizes: Mapping[K, int]) -> dict[K, int]:
    """Return the number of helpers for each layer that is being read.

    `sizes` are the bytes of the layers' blobs. Each layer takes one of the `jobs`. Those that are
    left go, one by one, to the layer with the most bytes for each of its processes.
    """
    found = dict.fromkeys(sizes, 0)
    large = [layer for layer, size in sizes.items() if size >= _WORTH]
    for _ in range(jobs - len(sizes)):
        chosen = max(
            (layer for layer in large if found[layer] < _MOST),
            key=lambda layer: sizes[layer] / (1 + found[layer]),
            default=None,
        )
        if chosen is None:
            break
        found[chosen] += 1
    return found


@dataclass(eq=False)
class _Layer:
    """A layer that is being read, and its helpers.

    `numbers` are the helpers' numbers that are still free, `helping` those of the present helpers.
    Each helper has one of the `threads`, which waits for its process. A helper that has ended adds
    the bytes of its files to `written`, or its error to `errors`.
    """

    repo: Repo
    size: int
    queue: SharedQueue
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(MOST_HELPERS)))
    helping: list[int] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)


class Helpers:
    """Share the jobs that no layer takes among the layers that are being read, as their helpers.
    Called by several threads."""

    def __init__(self, workers: Workers, jobs: int) -> None:
        self._workers = workers
        self._jobs = jobs
        self._lock = threading.Lock()
        self._layers: dict[int, _Layer] = {}
        self._keys = count()

    @contextmanager
    def reading(self, repo: Repo, size: int) -> Iterator[SharedQueue]:
        """Give a layer helpers while the context lasts. Yield the queue that they take files from.

        `size` is the bytes of the layer's blob; `repo` is in the layer's transaction. Raise a
        helper's error, such as CommandError if its process was killed.
        """
        with closing(SharedQueue.create()) as queue:
            layer = _Layer(repo, size, queue)
            key = next(self._keys)
            self._change(key, layer)
            try:
                yield queue
            finally:
                self._change(key, None)
                queue.end()
                for thread in layer.threads:
                    thread.join()
                repo.count_written(sum(layer.written))
                if layer.errors:
                    raise layer.errors[0]

    def _change(self, key: int, layer: _Layer | None) -> None:
        """Add a layer, or remove it (None), and share the free jobs again."""
        with self._lock:
            if layer is None:
                del self._layers[key]
            else:
                self._layers[key] = layer
            sizes = {key: layer.size for key, layer in self._layers.items()}
            for key, wanted in shares(self._jobs, sizes).items():
                self._share(self._layers[key], wanted)

    def _share(self, layer: _Layer, wanted: int) -> None:
        while len(layer.helping) > wanted:
            layer.queue.stop(layer.helping.pop())
        while len(layer.helping) < wanted and (number := next(layer.numbers, None)) is not None:
            layer.helping.append(number)
            thread = threading.Thread(target=self._help, args=(layer, number), name="helper")
            layer.threads.append(thread)
            thread.start()
        layer.queue.helpers = len(layer.helping)

    def _help(self, layer: _Layer, number: int) -> None:
        try:
            with self._workers.lent() as worker:
                place = layer.repo.new_place()
                layer.written.append(worker.help(place, number, layer.queue))
        except BaseException as error:
            layer.errors.append(error)
            layer.queue.lose()
