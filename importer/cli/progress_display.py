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

    from rich.progress import TaskID

    from importer.progress import Advance, Progress

# Lines of the terminal that no layer takes: the first line, other blobs, the prompt.
_SPARE = 5


class Lines:
    """Write one line for each event, for logs."""

    def message(self, text: str) -> None:
        """Write the text at once. Control characters are escaped, since an image or a registry may
        have put them into the text."""
        say(escaped(text))

    def layer(self, name: str, size: int, state: str) -> None:
        """Write nothing: a layer changes its state several times."""

    def components(self, over: int, total: int) -> None:
        """Write nothing: a line for each would tell little."""

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        """Write one line when the blob begins."""
        self.message(f"{name}: reading {size:,} bytes")
        yield lambda _count: None


class TerminalBars:
    """Show one line over all layers and one for each layer, with bars, on a terminal.

    A layer's line has its state. There are at most as many lines as the terminal has room for.
    Blobs that are no layers, such as configs, have lines of their own while they are read.
    """

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
        self._lock = threading.Lock()
        self._running = 0  # blobs that are being read, and layers that are not over
        self._layers: dict[str, TaskID] = {}  # of layers that are not over
        self._total: TaskID | None = None
        self._components = ""
        self._announced = self._over = self._size = 0

    def message(self, text: str) -> None:
        """Print the text above the bars, as it is: rich's markup has no meaning in it."""
        self._rich.console.print(escaped(text), markup=False, highlight=False, soft_wrap=True)

    def layer(self, name: str, size: int, state: str) -> None:
        """Show the layer's state in its line, and how many layers are over in the first line."""
        with self._lock:
            if state == "waiting":
                self._announce(name, size)
            elif name in self._layers and state not in ("done", "failed"):
                self._rich.update(self._layers[name], description=f"{name} {state}")
            elif name in self._layers:
                self._rich.remove_task(self._layers.pop(name))
                self._over += 1
                self._end()
            self._arrange()

    def _announce(self, name: str, size: int) -> None:
        self._begin()
        if self._total is None:
            self._total = self._rich.add_task("")
        self._announced, self._size = self._announced + 1, self._size + size
        self._layers[name] = self._rich.add_task(f"{name} waiting", total=size)

    def _arrange(self) -> None:
        """Count components and layers in the first line, and show those that there is room for."""
        if self._total is not None:
            counted = f"{self._components}layers {self._over}/{self._announced}"
            self._rich.update(self._total, description=counted, total=self._size)
        room = self._rich.console.height - _SPARE
        for number, task in enumerate(self._layers.values()):
            self._rich.update(task, visible=number < room)

    def components(self, over: int, total: int) -> None:
        """Show how many components are over in the first line."""
        with self._lock:
            self._components = f"components {over}/{total}, "
            self._arrange()

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        """Show how much of the blob is read, in its layer's line if it is a layer."""
        with self._lock:
            self._begin()
            of_layer = self._layers.get(name)
            task = self._rich.add_task(escaped(name), total=size) if of_layer is None else of_layer
            if of_layer is not None:
                self._restart(of_layer, size)
        try:
            yield lambda count: self._advance(task, count, counts=of_layer is not None)
        finally:
            with self._lock:
                if of_layer is None:
                    self._rich.remove_task(task)
                self._end()

    def _restart(self, task: TaskID, size: int) -> None:
        """Begin a layer's line anew. What a failed transfer had read counts no more."""
        read = next(shown.completed for shown in self._rich.tasks if shown.id == task)
        if self._total is not None:
            self._rich.advance(self._total, -read)
        self._rich.reset(task, total=size)

    def _advance(self, task: TaskID, count: int, *, counts: bool) -> None:
        if task in self._rich.task_ids:
            self._rich.advance(task, count)
        if counts and self._total is not None:
            self._rich.advance(self._total, count)

    def _begin(self) -> None:
        self._running += 1
        self._rich.start()

    def _end(self) -> None:
        self._running -= 1
        if not self._running:
            self._rich.stop()


def for_terminal(*, quiet: bool) -> Progress:
    """Return bars if standard error is a terminal, lines if not, and nothing if `quiet`."""
    if quiet:
        return Silence()
    return TerminalBars() if sys.stderr.isatty() else Lines()
