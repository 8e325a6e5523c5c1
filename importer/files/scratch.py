"""Make temporary directories that their process locks, and clear away those of killed processes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# file-hierarchy(7): the first may be in memory, the second is on a disk.
_SMALL, _LARGE = "/tmp", "/var/tmp"  # noqa: S108 - mkdtemp makes a private directory in it
_PREFIX = "import-image-scratch-"


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


@contextmanager
def scratch(*, large: bool = False) -> Iterator[Path]:
    """Yield a directory for files that other programs read, and remove it afterwards.

    With `large` it may have gigabytes. Raise ImporterError if it, or a file in it, cannot be
    written.
    """
    try:
        where = os.environ.get("TMPDIR") or _LARGE if large else tempfile.gettempdir()
        directory, lock = locked_directory(Path(where), _PREFIX)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)
    except OSError as error:
        raise ImporterError(
            f"a temporary file cannot be written: {error.strerror}",
            hint="TMPDIR may name a directory that has room",
        ) from error


def clear_abandoned_scratch() -> None:
    """Remove the directories that killed processes of this user have left."""
    given = os.environ.get("TMPDIR")
    for where in (given,) if given else (_SMALL, _LARGE):
        for path in Path(where).glob(f"{_PREFIX}*"):
            with suppress(OSError):  # gone by now, not ours, or held
                _clear(path)


def _clear(path: Path) -> None:
    descriptor = os.open(path, OPEN_DIRECTORY)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
