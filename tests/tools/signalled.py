"""A program that is signalled again and again, each time at another moment.

`python -m tests.tools.signalled NUMBER TRIES` prints how often the signal did not end it.
"""

import os
import random
import signal
import sys
import time
from threading import Lock, Thread

from importer.cli.signals import interruptible
from tests.tools import patience

#: Most moments within lie about the one at which the program begins to wait.
SPAN_SECONDS = 0.012


def wait_in_company(ready: int) -> None:
    """Says that it is ready, and waits for ever for a lock, as an import waits for its layers,
    while threads compute."""
    for _ in range(2):
        Thread(target=compute, daemon=True).start()
    lock = Lock()
    lock.acquire()
    os.write(ready, b"\0")
    lock.acquire()


def compute() -> None:
    """For ever; the interpreter is to be had every 5 ms only."""
    while True:
        sum(range(100))


def started() -> int:
    """A process that waits so, once it is ready to be signalled."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        return pid
    interruptible(lambda: wait_in_company(writing))
    os._exit(1)


def ended(pid: int) -> int | None:
    """By which signal it does; None if it does not."""
    deadline = time.monotonic() + patience.SECONDS
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.WTERMSIG(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def unheard(number: int, tries: int) -> int:
    """How often the signal did not end it."""
    chance, count = random.Random(number), 0
    for _ in range(tries):
        pid = started()
        time.sleep(chance.random() * SPAN_SECONDS)
        os.kill(pid, number)
        count += ended(pid) != number
    return count


if __name__ == "__main__":
    print(unheard(int(sys.argv[1]), int(sys.argv[2])))
