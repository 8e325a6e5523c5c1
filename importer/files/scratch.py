"""Provide temporary directories, and clear away those of killed processes.

The process holds a lock of its directory; a directory without a lock was left by a killed one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.locked_directory import OPEN_DIRECTORY, locked_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

# file-hierarchy(7): the first may be in memory, the second is on a disk.
_SMALL, _LARGE = "/tmp", "/var/tmp"  # noqa: S108 - mkdtemp makes a private directory in it
_PREFIX = "import-image-scratch-"


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
