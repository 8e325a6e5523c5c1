"""A pipe that a thread of the test writes to."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.tools import patience


@contextmanager
def fed(*pieces: bytes, wait: threading.Event | None = None) -> Iterator[int]:
    """A pipe that these are written to, the last one when the event is set.

    The reader may leave before the end.
    """
    source, sink = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(sink, "wb", buffering=0) as file:
            for number, piece in enumerate(pieces):
                if wait is not None and number == len(pieces) - 1:
                    wait.wait(patience.SECONDS)
                left = memoryview(piece)
                while left:
                    left = left[file.write(left) :]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield source
    finally:
        os.close(source)
        if wait is not None:
            wait.set()
        writer.join(patience.SECONDS)
