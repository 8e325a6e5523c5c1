"""The locks of containers-storage: fcntl(2), F_SETLK, on a file (pkg/lockfile)."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import Iterator

from importer.device.folder import DeviceError, Folder

# The order of containers-storage itself (store.go).
LOCKS = ("overlay-layers/layers.lock", "overlay-images/images.lock")
_LAST_WRITER_BYTES = 64
_INTERVAL = 0.05


@contextmanager
def locked(storage: Folder, path: str, timeout: float, *, written: bool) -> Iterator[None]:
    """Hold a lock. `written` tells the other programs to read the records again.

    Raise DeviceError if another program holds the lock for `timeout` seconds.
    """
    end = time.monotonic() + timeout
    if storage.status(path) is None:
        raise DeviceError(f"{storage.path / path} is absent; see `podman system check`")
    with storage.file(path, os.O_RDWR) as descriptor:
        while not _taken(descriptor):
            if time.monotonic() > end:
                raise DeviceError(
                    f"another program holds {storage.path / path} for {timeout:g} seconds;"
                    " try again later"
                )
            time.sleep(_INTERVAL)
        yield
        if written:
            os.pwrite(descriptor, os.urandom(_LAST_WRITER_BYTES), 0)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, by POSIX
        return False
    return True
