"""Make temporary directories that are locked as long as their process lives."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def locked_directory(where: Path, prefix: str) -> tuple[Path, int]:
    """Make a directory in `where`, and lock it. Return the directory, and a descriptor that holds
    the lock until it is closed.

    The kernel gives the lock of a killed process back, so that others can tell that its directory
    is abandoned. Such a process may remove the new directory before it is locked; then another
    one is made.
    """
    while True:
        directory = Path(mkdtemp(prefix=prefix, dir=where))
        with suppress(FileNotFoundError):
            lock = os.open(directory, OPEN_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if directory.exists():
                return directory, lock
            os.close(lock)
