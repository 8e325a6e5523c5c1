"""Read a pipe whose other end may fall silent."""

from __future__ import annotations

import os
import select
import time
from math import inf
from typing import TYPE_CHECKING

from importer.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layers.chunks import Chunks

CHUNK = 1 << 20
# Less than this counts as silence, so that a server which sends one byte a minute does not keep
# us for ever.
_ENOUGH = 1 << 10
SILENCE = "is the other end reachable? --timeout=SECONDS waits longer"


def is_readable(descriptor: int, seconds: float) -> bool:
    """Wait until the pipe has bytes or has ended; return False if it has neither in time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds == inf else max(0, seconds) * 1000))


def patient_chunks(descriptor: int, seconds: float, sender: str) -> Chunks:
    """Yield the bytes of a pipe until it ends, at most 1 MiB at a time.

    Only the time spent waiting counts, not the time that the caller takes for a chunk.
    Raise FetchError, naming `sender`, if fewer than 1 KiB come within `seconds` of waiting.
    """
    return _patiently(descriptor, seconds, sender, lambda: os.read(descriptor, CHUNK), len)


def patient_splice(descriptor: int, file: int, seconds: float, sender: str) -> Iterator[int]:
    """Move the bytes of a pipe into a file, from its beginning on, until the pipe ends.

    The bytes do not pass through this process. Yield the number of bytes moved each time. Raise
    FetchError as `patient_chunks` does.
    """
    moved = 0

    def move() -> int:
        nonlocal moved
        count = os.splice(descriptor, file, CHUNK, offset_dst=moved)
        moved += count
        return count

    return _patiently(descriptor, seconds, sender, move, int)


def _patiently[T](
    descriptor: int, seconds: float, sender: str, take: Callable[[], T], size: Callable[[T], int]
) -> Iterator[T]:
    """Take from a pipe whenever it has bytes, until it ends. `size` is in bytes."""
    left, received = seconds, 0
    while True:
        began = time.monotonic()
        if not is_readable(descriptor, left):
            raise FetchError(f"{sender} has been silent for {seconds:g} s", hint=SILENCE)
        left -= time.monotonic() - began
        chunk = take()
        if not size(chunk):
            return
        received += size(chunk)
        if received >= _ENOUGH:
            left, received = seconds, 0
        yield chunk
