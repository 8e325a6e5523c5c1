"""How long to wait for what must happen.

Nobody waits so long where all is well: it only ends a test that would never end. So it is far
more than a machine that is slow, and busy with all else, needs for anything here.
"""

import time
from collections.abc import Callable

SECONDS = 600


def await_that(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; fail with `what` if that takes too long."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
