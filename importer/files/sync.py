"""Write what a file system holds in memory to its disk or server, or free it before."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.files.descriptors import held
from importer.files.presence import is_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def synced(directory: str) -> Iterator[int]:
    """Make everything durable that is written to the directory's file system in this context.
    Yield the directory's descriptor.

    Raise OSError if the kernel could not write some of it, at any time in the context: syncfs(2)
    reports all errors since its descriptor was opened (Linux 5.8), which is at the beginning.
    """
    with held(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as descriptor:
        yield descriptor
        sync(descriptor)


def make_directory(directory: Path) -> None:
    """Create a directory and the missing directories above it, with durable names."""
    if not is_directory(directory):
        make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    with held(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as descriptor:
        os.fsync(descriptor)


def sync(descriptor: int) -> None:
    """Make everything durable that is written to the descriptor's file system.

    Raise OSError if the kernel could not write something since the descriptor was opened.
    """
    import ctypes  # an import that finds nothing new syncs nothing, and need not load it

    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
        code = ctypes.get_errno()
        raise OSError(code, f"syncfs: {os.strerror(code)}")


def free(descriptor: int, offset: int, size: int) -> None:
    """Make a hole in a file, in place of bytes that were written there. On a file system without
    holes the bytes stay."""
    import ctypes

    hole = 0x01 | 0x02  # include/uapi/linux/falloc.h: FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(descriptor, hole, ctypes.c_int64(offset), ctypes.c_int64(size)):
        code = ctypes.get_errno()
        if code != errno.EOPNOTSUPP:
            raise OSError(code, f"fallocate: {os.strerror(code)}")
