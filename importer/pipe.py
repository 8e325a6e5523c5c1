"""Read a pipe whose other end may fall silent."""

from __future__ import annotations

import os
import select
import time
from math import inf
from typing import TYPE_CHECKING

from importer.errors import FetchError

if TYPE_CHECKING:
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
    left, received = seconds, 0
    while True:
        began = time.monotonic()
        if not is_readable(descriptor, left):
            raise FetchError(f"{sender} has been silent for {seconds:g} s", hint=SILENCE)
        left -= time.monotonic() - began
        chunk = os.read(descriptor, CHUNK)
        if not chunk:
            return
        received += len(chunk)
        if received >= _ENOUGH:
            left, received = seconds, 0
        yield chunk
