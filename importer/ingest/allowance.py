"""The bound on the size of all layers of one call together."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.limits import TOO_LARGE, TOO_MANY, Limits

if TYPE_CHECKING:
    from layers.tree.read_layer import LayerOptions

_MORE_SIZE = "if that is what you expect, raise --max-size"
_MORE_ENTRIES = "if that is what you expect, raise --max-entries"


class Allowance:
    """Counts how many bytes and entries the call may still read. Used by several threads.

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
        """Return the error to raise for a layer that exceeded its `cut` limits: one that names the
        call's limit, if the layer did not exceed its own limit in `options`."""
        if error.hint == TOO_LARGE and cut.limits.size < options.limits.size:
            return self._too_large().within(digest=error.digest)
        if error.hint == TOO_MANY and cut.limits.entries < options.limits.entries:
            return self._too_many().within(digest=error.digest)
        return error

    def _too_large(self) -> LayerError:
        said = f"the layers of this call unpack to more than {self._total.size} bytes together"
        return LayerError(said, hint=_MORE_SIZE)

    def _too_many(self) -> LayerError:
        said = f"the layers of this call have more than {self._total.entries} entries together"
        return LayerError(said, hint=_MORE_ENTRIES)
