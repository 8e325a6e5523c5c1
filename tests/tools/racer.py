"""An attacker who exchanges two paths, each time that somebody looks into a directory."""

import ctypes
import os
import select
import threading
from pathlib import Path
from typing import Self

_libc = ctypes.CDLL(None, use_errno=True)
_RENAME_EXCHANGE = 2  # include/uapi/linux/fs.h
_AT_FDCWD = -100
# include/uapi/linux/inotify.h
_IN_OPEN = 0x20
_IN_ACCESS = 0x01
_IN_CLOSE_NOWRITE = 0x10


def exchange(one: Path, other: Path) -> None:
    """Swap the two in one step, renameat2(2)."""
    done = _libc.renameat2(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _RENAME_EXCHANGE)
    if done:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "renameat2")


class Racer:
    """`with Racer(watched, one, other) as racer:` exchanges `one` and `other` when `watched` is
    opened or listed, and at every second such event exchanges them back.

    `exchanged` counts.
    """

    def __init__(self, watched: Path, one: Path, other: Path) -> None:
        self.exchanged = 0
        self._pair = one, other
        self._inotify: int = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        mask = _IN_OPEN | _IN_ACCESS | _IN_CLOSE_NOWRITE
        if _libc.inotify_add_watch(self._inotify, bytes(watched), mask) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        os.close(self._inotify)

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._inotify, select.POLLIN)
        while not self._over.is_set():
            if poll.poll(50):
                exchange(*self._pair)
                self.exchanged += 1
                os.read(self._inotify, 1 << 16)
