"""Tell the user, or a program, what happens: a `Progress` as the options ask for.

--quiet: errors alone. --verbose: details, too. --log-json: one JSON object a line in place of
text. --progress-fd: events for a program, in addition.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import select
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.cli.progress_display import Lines, for_terminal
from importer.cli.signals import at_interruption
from importer.cli.streams import say
from importer.progress import Silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from importer.cli.images_read import ImagesRead
    from importer.cli.options.output import Output
    from importer.progress import Advance, Progress

# Between two events of a blob: enough for a bar, and a fast blob comes in thousands of pieces.
_EVENT_SECONDS = 0.1
# Bytes of events kept for a slow reader, and how many seconds it has at the end to read them.
_MOST_UNSENT = 1 << 20
_LAST_SECONDS = 1.0


def log_line(level: str, message: str, **more: str) -> str:
    """Return a line of --log-json. Time is in seconds since 1970; level is debug, info or error."""
    fields = {"time": round(time.time(), 3), "level": level, "message": message}
    return json.dumps(fields | {key: value for key, value in more.items() if value})


class JsonLog(Lines):
    """Print messages and the beginning of each blob as JSON (--log-json)."""

    def message(self, text: str, level: str = "info") -> None:
        say(log_line(level, text))


class Events:
    """Write events to a descriptor, one JSON object a line (--progress-fd), and pass them on to
    `shown`.

    The key `event` is `message` (with `text`), `begin` (`blob`, `size`), `progress` (`blob`,
    `bytes` so far, `size`), `end` (`blob`, `bytes`, `size`), `image` (`image`, `layers` to be read,
    `reused`) or `layer` (`layer`, `size`, `state`). Sizes are in bytes. Documents have no events.
    If the descriptor has no reader any more, events are discarded. A slow reader does not delay the
    import: up to a megabyte of events is kept for it, and `progress` events are left out meanwhile.
    """

    def __init__(self, descriptor: int, shown: Progress) -> None:
        self._descriptor = descriptor
        self._shown = shown
        self._lock = threading.Lock()
        self._unsent = bytearray()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        atexit.register(self._finish)

    def message(self, text: str) -> None:
        self._shown.message(text)
        self._write({"event": "message", "text": text})

    def layer(self, name: str, size: int, state: str) -> None:
        self._shown.layer(name, size, state)
        self._write({"event": "layer", "layer": name, "size": size, "state": state})

    def image(self, name: str, layers: Sequence[str], reused: int) -> None:
        self._shown.image(name, layers, reused)
        self._write({"event": "image", "image": name, "layers": layers, "reused": reused})

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:
        """Write the blob's events. `end` is written even if the blob fails."""
        with self._shown.blob(name, size) as shown:
            if name:
                with self._events(name, size, shown) as advance:
                    yield advance
            else:
                yield shown

    @contextmanager
    def _events(self, name: str, size: int, shown: Advance) -> Iterator[Advance]:
        self._write({"event": "begin", "blob": name, "size": size})
        done, last = 0, time.monotonic()

        def advance(count: int) -> None:
            nonlocal done, last
            shown(count)
            done += count
            if time.monotonic() - last > _EVENT_SECONDS:
                last = time.monotonic()
                self._write({"event": "progress", "blob": name, "bytes": done, "size": size})

        try:
            yield advance
        finally:
            self._write({"event": "end", "blob": name, "bytes": done, "size": size})

    def _write(self, event: Mapping[str, str | int | Sequence[str]]) -> None:
        line = json.dumps(event).encode() + b"\n"
        room = 0 if event["event"] == "progress" else _MOST_UNSENT
        with self._lock:
            if len(self._unsent) <= room:
                self._unsent += line
            self._send(0)

    def _send(self, seconds: float) -> None:
        """Write as much as can be written, waiting for at most so long before each piece."""
        try:
            # A pipe that is ready takes so much at once (pipe(7), poll(2)).
            while self._unsent and self._poll.poll(seconds * 1000):
                del self._unsent[: os.write(self._descriptor, self._unsent[: select.PIPE_BUF])]
        except OSError:
            self._unsent.clear()

    def _finish(self) -> None:
        with self._lock:
            self._send(_LAST_SECONDS)


class _Logged(logging.Handler):
    """Print what the modules log where messages go: warnings, and with --verbose details."""

    def __init__(self, shown: Progress) -> None:
        super().__init__()
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        text, is_detail = record.getMessage(), record.levelno < logging.WARNING
        if isinstance(self._shown, JsonLog):
            self._shown.message(text, "debug" if is_detail else "info")
        else:
            self._shown.message(f"debug: {text}" if is_detail else text)


def _last_words(images: ImagesRead, *, log_json: bool) -> Callable[[], str]:
    """Return a function that makes the line on the layers that an interrupted import keeps."""

    def words() -> str:
        text = images.interrupted()
        return log_line("error", text) if text and log_json else text

    return words


def progress_for(given: Output) -> Progress:
    """Return the `Progress` that the command's options ask for."""
    quiet = given.quiet
    shown = JsonLog() if given.log_json and not quiet else for_terminal(quiet=quiet)
    if not isinstance(shown, Silence):
        at_interruption(_last_words(shown.images, log_json=given.log_json))
    logger = logging.getLogger("importer")
    logger.setLevel(logging.DEBUG if given.verbose else logging.WARNING)
    logger.handlers = [_Logged(shown)]
    logger.propagate = False
    descriptor = given.progress_fd
    return shown if descriptor is None else Events(descriptor, shown)
