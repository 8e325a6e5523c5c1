"""What the user sees while it works, on standard error."""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from importer.cli.streams import say

if TYPE_CHECKING:
    from collections.abc import Iterator


class Progress(Protocol):
    """Told of each blob, and of what is worth a line. Called from several threads."""

    def message(self, text: str) -> None:
        """A line."""

    def blob(self, name: str, size: int) -> AbstractContextManager[Advance]:
        """A blob of `size` bytes begins; the context ends with it."""


class Advance(Protocol):
    """Told of the bytes of a blob as they come."""

    def __call__(self, count: int, /) -> None: ...


def _ignore(_count: int) -> None:
    pass


class Silence:
    """Nothing at all: --quiet."""

    def message(self, text: str) -> None:
        """Not said."""

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:  # noqa: ARG002
        """Not shown."""
        yield _ignore


class Lines:
    """A line an event, for logs."""

    def message(self, text: str) -> None:
        """Said as it is, and at once."""
        say(text)

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        """Said when it begins."""
        self.message(f"{name}: reading {size:,} bytes")
        yield _ignore


class Bars:
    """A bar a blob, for a terminal."""

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
        """Above the bars; markup characters in it mean nothing."""
        self._rich.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        """Its bar; the display lives while any blob does."""
        with self._lock:
            self._running += 1
            self._rich.start()
        task = self._rich.add_task(name, total=size)
        try:
            yield lambda count: self._rich.update(task, advance=count)
        finally:
            self._rich.remove_task(task)
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._rich.stop()


def for_terminal(*, quiet: bool) -> Progress:
    """Bars where standard error is a terminal, lines where not, nothing if `quiet`."""
    if quiet:
        return Silence()
    return Bars() if sys.stderr.isatty() else Lines()
