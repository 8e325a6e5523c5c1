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
    """Counts down what is left of the call's limits. Used by several threads.

    Layers that are read at the same time may each come to what is left when the first of them
    begins; the call fails once they are all read.
    """

    def __init__(self, total: Limits) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._size = total.size
        self._entries = total.entries

    def left(self, options: LayerOptions) -> LayerOptions:
        """Return the options for the next layer, its limits cut to what is left."""
        own = options.limits
        with self._lock:
            size, entries = max(self._size, 0), max(self._entries, 0)
        return replace(options, limits=Limits(min(own.size, size), min(own.entries, entries)))

    def take(self, size: int, entries: int) -> None:
        """Count a layer. Raise LayerError if there are more bytes or entries than the call may
        have."""
        with self._lock:
            self._size -= size
            self._entries -= entries
            too_large, too_many = self._size < 0, self._entries < 0
        if too_large:
            raise self._too_large()
        if too_many:
            raise self._too_many()

    def explained(self, error: LayerError, options: LayerOptions, cut: LayerOptions) -> LayerError:
        """Return the error of a layer that broke its `cut` options, in terms of the call if the
        layer alone would not have broken its own."""
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
