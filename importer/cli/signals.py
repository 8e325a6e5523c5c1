"""Let Ctrl-C, SIGTERM and SIGHUP end the program at once, whatever it is doing.

Python runs a signal's handler in the main thread, between two steps of bytecode. If a signal
comes just before the main thread begins to wait for a lock, its handler runs after that wait,
which may never end; and a call of libostree may take seconds. Therefore the work has a thread of
its own, and the main thread only reads from a pipe, to which Python's C code writes each signal
at once (`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import os
import select
import signal
import sys
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from importer import process

if TYPE_CHECKING:
    from collections.abc import Callable


_last_words: list[Callable[[], str]] = []


def at_interruption(words: Callable[[], str]) -> None:
    """Ask for this line when a signal ends the program; "" is none. It must not wait for a lock."""
    _last_words.append(words)


def interruptible[T](work: Callable[[], T]) -> T:
    """Return what the work returns, or raise what it raises. Call this once, in the main thread."""
    wakeups, ours = os.pipe()
    os.set_blocking(ours, False)
    signal.set_wakeup_fd(ours)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup(1), or a shell that starts us in the background, has set some to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    done: Future[T] = Future()
    done.add_done_callback(lambda _: os.write(ours, b"\0"))
    Thread(target=_finish, args=(work, done), name="work").start()
    while not done.done():
        os.read(wakeups, 1)
    return done.result()


def _finish[T](work: Callable[[], T], done: Future[T]) -> None:
    try:
        result = work()
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(result)


def _leave(number: int, _frame: object) -> None:
    """End the process at once, by the signal itself, as a shell expects it.

    Other threads may be anywhere in libostree. An import that is cut off at any point leaves a
    consistent repo, so there is nothing to wait for.
    """
    process.kill_all()
    with suppress(OSError):
        if sys.stderr.isatty():
            os.write(2, b"\x1b[?25h\n")  # the cursor, which a progress bar hides
        for line in filter(None, (words() for words in _last_words)):
            _write_at_once(f"{line}\n".encode())
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # The kernel spares process 1 of a container the signals for which it has no handler
    # (pid_namespaces(7)); a shell would report the same status.
    os._exit(128 + number)


def _write_at_once(line: bytes) -> None:
    """Write to standard error, unless its reader does not read."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if poll.poll(0):
        os.write(2, line)
