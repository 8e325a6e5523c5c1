"""Show the progress of layers that workers read, by the events that they send."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.progress import Advance, Progress


# Characters of a worker's message.
_LONGEST = 1000


class Bars:
    """Passes each event on to the bar of its layer. Used by several threads."""

    def __init__(self) -> None:
        self._bars: dict[str, Bar] = {}

    def add(self, layer_id: str, bar: Bar) -> None:
        self._bars[layer_id] = bar

    def hear(self, event: object) -> None:
        """Pass on an event of `importer.cluster.task`. Ignore values that are no event."""
        bar = self._bars.get(str(event.get("layer"))) if isinstance(event, dict) else None
        if isinstance(event, dict) and bar is not None:
            bar.hear(event)


class Bar:
    """A layer's bar. It appears when a worker begins to read the layer."""

    def __init__(self, progress: Progress, name: str, size: int) -> None:
        """`size` is the bytes to read."""
        self._progress = progress
        self._name = name
        self._size = size
        self._lock = threading.Lock()
        self._shown = ExitStack()
        self._advance: Advance | None = None
        self._told = 0
        self._ended = False

    def hear(self, event: Mapping[str, object]) -> None:
        """Show an event: a message, or the bytes read so far."""
        message, count = event.get("message"), event.get("bytes", 0)
        with self._lock:
            if self._ended:
                return
            if isinstance(message, str):
                self._progress.message(message[:_LONGEST])
            if isinstance(count, int):
                self._show(count)

    def end(self, count: int | None = None) -> None:
        """Remove the bar. If the layer was read, show first that `count` bytes were read."""
        with self._lock:
            if count is not None:
                self._show(count)
            self._ended = True
            self._shown.close()

    def _show(self, count: int) -> None:
        if self._advance is None:
            blob = self._progress.blob(self._name, self._size)
            self._advance = self._shown.enter_context(blob)
        if count > self._told:  # a second attempt begins at 0
            self._advance(count - self._told)
            self._told = count
