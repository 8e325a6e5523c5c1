"""The progress of an import on standard error: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.cli.images_read import ImagesRead, LayerRead
from importer.cli.streams import say
from importer.progress import Silence
from layers.errors import escaped
from layers.words import shortened, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from importer.cli.images_read import ImageRead
    from importer.progress import Advance

# Lines of the terminal that no image takes: the first row, other blobs, the prompt.
_SPARE = 5
# Columns: what a row needs beside an image's name, the shortest name that tells images apart, the
# longest one, and the terminal that has room for bytes and speed.
_BESIDE_NAME, _LEAST_NAME, _MOST_NAME, _WIDE = 46, 12, 30, 90


class Lines:
    """Write one line for each event, for logs."""

    def __init__(self) -> None:
        self.images = ImagesRead()
        self._lock = threading.Lock()
        self._begun: set[ImageRead] = set()

    def message(self, text: str) -> None:
        """Write the text at once. Control characters are escaped, since an image or a registry may
        have put them into the text."""
        say(escaped(text))

    def image(self, name: str, layers: Sequence[str], reused: int) -> None:
        """Write nothing until a layer begins."""
        with self._lock:
            self.images.add(name, layers, reused)

    def layer(self, name: str, size: int, state: str) -> None:
        """Write one line for each image whose first layer begins, and one when its last is done."""
        with self._lock:
            for image in self.images.layer(name, size, state):
                if image.state == "done":
                    self.message(f"{image.name}: done")
                elif image not in self._begun and not image.is_over:
                    self._begun.add(image)
                    self.message(image.beginning())

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        """Write one line when the blob begins, unless it is a document or an image's layer."""
        if name and name not in self.images.layers:
            self.message(f"{name}: reading {size:,} bytes")
        yield lambda _count: None


class TerminalBars:
    """Show one row over all images and one for each image, with bars, on a terminal.

    An image's row has its state. There are at most as many rows as the terminal has room for; an
    image that is done leaves a line above them. Blobs of no image have rows while they are read,
    but documents are only counted.
    """

    def __init__(self) -> None:
        # Only a terminal needs rich, whose import takes a good part of a short run's time.
        from rich.console import Console
        from rich.live import Live

        self.images = ImagesRead()
        self._console = Console(stderr=True)
        self._lock = threading.Lock()
        self._running = 0  # blobs that are being read, and images that are not over
        self._others: dict[LayerRead, str] = {}  # blobs of no image, and their names
        self._documents = 0
        self._began = 0.0
        self._live = Live(console=self._console, transient=True, get_renderable=self.table)

    def message(self, text: str) -> None:
        """Print the text above the bars, as it is: rich's markup has no meaning in it."""
        self._console.print(escaped(text), markup=False, highlight=False, soft_wrap=True)

    def image(self, name: str, layers: Sequence[str], reused: int) -> None:
        with self._lock:
            self._began = self._began or time.monotonic()
            self.images.add(name, layers, reused)
            self._begin()

    def layer(self, name: str, size: int, state: str) -> None:
        """Note the layer's state. The next refresh of the rows shows it."""
        with self._lock:
            for image in self.images.layer(name, size, state):
                if image.state == "done":
                    self.message(f"{image.name}: done")
                if image.is_over:
                    self._end()

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        layer = self.images.layers.get(name)
        with self._lock:
            if layer is None:
                layer = LayerRead(size)
                self._documents += not name
                self._others[layer] = escaped(name)
            layer.read = 0  # what a failed transfer had read counts no more
            self._begin()
        try:
            yield layer.advance
        finally:
            with self._lock:
                self._others.pop(layer, None)
                self._end()

    def _begin(self) -> None:
        self._running += 1
        self._live.start()

    def _end(self) -> None:
        self._running -= 1
        if not self._running:
            self._live.stop()

    def table(self) -> Table:
        """Return the rows. rich calls this in a thread of its own, with a lock that printing needs:
        it must not wait for ours."""
        from rich.table import Table

        table = Table.grid(padding=(0, 1), expand=True)
        for _ in range(2):
            table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        for _ in range(2 if self._console.width >= _WIDE else 1):
            table.add_column(no_wrap=True, justify="right")
        for row in self._rows():
            table.add_row(*row)
        return table

    def _rows(self) -> Iterator[Sequence[RenderableType]]:
        """Return a row for all images, then those of images at work before those that wait."""
        if self._documents and not self.images.images:
            yield (f"looking up images: {self._documents}",)
        for blob, name in list(self._others.items()):
            if name:
                yield self._row(name, "reading", blob.size, blob.read)
        layers = list(self.images.layers.values())
        if not layers:
            return
        total, read = sum(layer.size for layer in layers), sum(layer.read for layer in layers)
        speed = f"{size(round(read / (time.monotonic() - self._began)))}/s"
        yield self._row(self.images.counts(), speed, total, read)
        images = [image for image in list(self.images.images) if not image.is_over]
        room = max(1, self._console.height - _SPARE)
        if len(images) > room:
            images = sorted(images, key=lambda image: image.state == "waiting")[:room]
        width = max(_LEAST_NAME, min(_MOST_NAME, self._console.width - _BESIDE_NAME))
        for image in images:
            text = f"{shortened(image.name, width)}: {image.counts()}"
            yield self._row(text, image.state, image.size, image.read)

    def _row(self, name: str, state: str, total: int, read: int) -> Sequence[RenderableType]:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        percent = f"{100 * read // total if total else 0}%"
        amounts = (
            [percent]
            if self._console.width < _WIDE
            else [f"{size(read)} of {size(total)}", percent]
        )
        bar = ProgressBar(total or 1, read)
        return (Text(name), Text(state), bar, *map(Text, amounts))


def for_terminal(*, quiet: bool) -> Lines | TerminalBars | Silence:
    """Return bars if standard error is a terminal, lines if not, and nothing if `quiet`."""
    if quiet:
        return Silence()
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return TerminalBars() if is_terminal else Lines()
