"""Read a pipe whose other end may fall silent."""

from __future__ import annotations

import fcntl
import os
import select
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from importer.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layers.chunks import Chunks

CHUNK = 1 << 20
# Bytes a second, as libostree's low-speed-limit-bytes: less counts as silence, so that a server
# which sends a byte now and then does not keep us, and the repo's lock, for a month.
LEAST_SPEED = 1000
SILENCE = "is the other end reachable, and the network free? --timeout=SECONDS waits longer"


def too_slow(sender: str, received: int, seconds: float) -> FetchError:
    """Return the error that only `received` bytes came within `seconds`."""
    if not received:
        return FetchError(f"{sender} has been silent for {seconds:g} s", hint=SILENCE)
    message = f"{sender} has sent fewer than {LEAST_SPEED} bytes a second for {seconds:g} s"
    return FetchError(message, hint=SILENCE)


def widen(pipe: int) -> None:
    """Let a pipe hold a whole chunk, so that its two ends wait less often for each other. A user
    without privileges has a bound on all pipes together (pipe(7))."""
    with suppress(PermissionError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CHUNK)


def is_readable(descriptor: int, seconds: float) -> bool:
    """Wait until the pipe has bytes or has ended; return False if it has neither in time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds == inf else max(0, seconds) * 1000))


def patient_chunks(descriptor: int, seconds: float, sender: str, size: int | None = None) -> Chunks:
    """Yield the bytes of a pipe until it ends, at most 1 MiB at a time; at most `size` in all.

    Only the time spent waiting counts, not the time that the caller takes for a chunk.
    Raise FetchError, naming `sender`, if within `seconds` of waiting fewer than 1000 bytes a second
    come.
    """
    source = _Pipe(descriptor, seconds, sender)
    return _patiently(source, size, lambda most: os.read(descriptor, most), len)


def patient_splice(
    descriptor: int, file: int, seconds: float, sender: str, size: int | None = None
) -> Iterator[int]:
    """Move the bytes of a pipe into a file, from its beginning on, until the pipe ends; at most
    `size` in all.

    The bytes do not pass through this process. Yield the number of bytes moved each time. Raise
    FetchError as `patient_chunks` does.
    """
    moved = 0

    def move(most: int) -> int:
        nonlocal moved
        count = os.splice(descriptor, file, most, offset_dst=moved)
        moved += count
        return count

    return _patiently(_Pipe(descriptor, seconds, sender), size, move, int)


class _Pipe(NamedTuple):
    """A pipe, the seconds that it may be silent, and the name of its sender."""

    descriptor: int
    seconds: float
    sender: str


def _patiently[T](
    source: _Pipe, size: int | None, take: Callable[[int], T], length: Callable[[T], int]
) -> Iterator[T]:
    """Take from a pipe whenever it has bytes, until it ends, or until `size` bytes are taken.

    Call `take` with the most bytes to take; `length` returns how many bytes its result has.
    """
    descriptor, seconds, sender = source
    left, received, missing = seconds, 0, inf if size is None else size
    while missing > 0:
        began = time.monotonic()
        if not is_readable(descriptor, left):
            raise too_slow(sender, received, seconds)
        left -= time.monotonic() - began
        chunk = take(int(min(CHUNK, missing)))
        if not length(chunk):
            return
        missing -= length(chunk)
        received += length(chunk)
        if received >= LEAST_SPEED * seconds:
            left, received = seconds, 0
        yield chunk
