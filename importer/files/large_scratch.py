"""Provide a temporary directory for gigabytes, and clear away those of killed processes.

The process holds a lock of its directory; a directory without a lock was left by a killed one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.locked_directory import OPEN_DIRECTORY, locked_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

# file-hierarchy(7): on a disk, where /tmp may be in memory. skopeo and podman use it, too.
_PLACE = "/var/tmp"  # noqa: S108 - mkdtemp makes a private directory in it
_PREFIX = "import-image-large-"


@contextmanager
def large_scratch() -> Iterator[Path]:
    """Yield a directory in TMPDIR or /var/tmp, and remove it afterwards. Raise ImporterError if
    there can be none."""
    where = Path(os.environ.get("TMPDIR") or _PLACE)
    try:
        _clear_abandoned(where)
        directory, lock = locked_directory(where, _PREFIX)
    except OSError as error:
        raise ImporterError(
            f"a temporary directory in {where} cannot be made: {error.strerror}",
            hint="TMPDIR may name a directory that has room",
        ) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _clear_abandoned(where: Path) -> None:
    for path in where.glob(f"{_PREFIX}*"):
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
