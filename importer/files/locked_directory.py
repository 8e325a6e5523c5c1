"""Make temporary directories that are locked as long as their process lives."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def locked_directory(where: Path, prefix: str) -> tuple[Path, int]:
    """Make a directory in `where`, and lock it. Return the directory, and a descriptor that holds
    the lock until it is closed.

    The kernel frees the lock of a killed process, which tells others that its directory is
    abandoned. Before the new directory is locked, another process may take it for abandoned and
    remove it; then another one is made.
    """
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
        with suppress(FileNotFoundError):
            lock = os.open(directory, OPEN_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                directory.lstat()
                return directory, lock
            os.close(lock)
