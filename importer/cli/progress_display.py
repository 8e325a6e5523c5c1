"""The progress of an import on standard error: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.cli.streams import say
from importer.progress import Silence
from layers.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.progress import Advance, Progress


class Lines:
    """Write one line for each event, for logs."""

    def message(self, text: str) -> None:
        """Write the text at once. Images and registries have a say in it: what a terminal would
        obey is escaped."""
        say(escaped(text))

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        """Write one line when the blob begins."""
        self.message(f"{name}: reading {size:,} bytes")
        yield lambda _count: None


class Bars:
    """Show one bar for each blob, on a terminal."""

    def __init__(self) -> None:
        # Only a terminal needs rich, whose import takes a good part of a short run's time.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as Rich

        self._rich = Rich(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
        )
        self._running = 0
        self._lock = threading.Lock()

    def message(self, text: str) -> None:
        """Print the text above the bars, as it is: rich's markup has no meaning in it."""
        self._rich.console.print(escaped(text), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        """Show the blob's bar. The display ends with the last blob that is being read."""
        with self._lock:
            self._running += 1
            self._rich.start()
        task = self._rich.add_task(escaped(name), total=size)
        try:
            yield lambda count: self._rich.update(task, advance=count)
        finally:
            self._rich.remove_task(task)
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._rich.stop()


def for_terminal(*, quiet: bool) -> Progress:
    """Return bars if standard error is a terminal, lines if not, and nothing if `quiet`."""
    if quiet:
        return Silence()
    return Bars() if sys.stderr.isatty() else Lines()
