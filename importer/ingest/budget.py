"""How much an import does at once, and how much it reads in all."""

from __future__ import annotations

import os
import threading
from dataclasses import field, replace
from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.frozen import frozen
from layers.limits import TOO_LARGE, TOO_MANY, Limits

if TYPE_CHECKING:
    from layers.limits import LayerOptions


# How many small layers may have their trees in memory, so that they share the syncs of the disk.
SMALL_LAYERS = 64


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


@frozen
class Budget:
    """How much is done at once.

    `downloads`: blobs that are fetched; 6 is podman's and skopeo's own default; 0 if this process
    fetches none, in a dry run or since the workers of a cluster do. `jobs`: layers that are read,
    each by a process of its own. `spool`: bytes of blobs that are fetched before a job is free for
    them. `beside`: layers that are on their way to the disk or to their branches beside those that
    are being read; with fewer, a job would wait for the disk. `small`: bytes of blobs; while layers
    have less together, `beside` does not bound them, but `SMALL_LAYERS` does: their trees are
    small, and many are closed by the same syncs of the disk. `questions`: manifests and configs
    that are asked for; nearly all time is waiting, but each takes a skopeo with 7 MB of its own,
    beside 23 MB that all of them share.
    """

    downloads: int = 6
    jobs: int = field(default_factory=processors)
    spool: int = 1 << 30
    beside: int = 3
    small: int = 4 << 20
    questions: int = 16

    @property
    def closed_together(self) -> int:
        """Return how many layers may have their trees in memory, if they are small."""
        return max(self.unclosed, SMALL_LAYERS)

    @property
    def unclosed(self) -> int:
        """Return how many layers may have their trees in memory, if they are not small: from the
        beginning of reading to the branch."""
        return self.jobs + self.beside


_MORE_SIZE = "if that is what you expect, raise max-size in the config file"
_MORE_ENTRIES = "if that is what you expect, raise max-entries in the config file"


class Allowance:
    """The bound on the size of all layers of a call together. Used by several threads.

    A layer's limits are cut to what is left when the layer begins. Layers that are read at the same
    time can exceed that together; the call then fails when they are counted.
    """

    def __init__(self, total: Limits) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._size = total.size
        self._entries = total.entries

    def left(self, options: LayerOptions) -> LayerOptions:
        """Return the options for the next layer, with limits no larger than what is left."""
        own = options.limits
        with self._lock:
            size, entries = max(self._size, 0), max(self._entries, 0)
        return replace(options, limits=Limits(min(own.size, size), min(own.entries, entries)))

    def take(self, size: int, entries: int) -> None:
        """Count a layer's bytes and entries. Raise LayerError if the call has read too many."""
        with self._lock:
            self._size -= size
            self._entries -= entries
            too_large, too_many = self._size < 0, self._entries < 0
        if too_large:
            raise self._too_large()
        if too_many:
            raise self._too_many()

    def explained(self, error: LayerError, options: LayerOptions, cut: LayerOptions) -> LayerError:
        """Return the error to raise for a layer that exceeded its `cut` limits. The error names the
        call's limit if the layer kept its own limit, in `options`."""
        if error.hint == TOO_LARGE and cut.limits.size < options.limits.size:
            return self._too_large().within(digest=error.digest)
        if error.hint == TOO_MANY and cut.limits.entries < options.limits.entries:
            return self._too_many().within(digest=error.digest)
        return error

    def _too_large(self) -> LayerError:
        message = f"the layers of this call unpack to more than {self._total.size} bytes together"
        return LayerError(message, hint=_MORE_SIZE)

    def _too_many(self) -> LayerError:
        message = f"the layers of this call have more than {self._total.entries} entries together"
        return LayerError(message, hint=_MORE_ENTRIES)
