"""A disk in a file, behind FUSE, that notes each write and each flush in the order they come.

`python -m tests.tools.loggeddisk DIRECTORY DISK LOG` serves DISK as DIRECTORY/disk. A loop device
on that file passes a file system's writes and flushes on as they are: drivers/block/loop.c makes
a flush an fsync of the file, and FUA a write with a flush behind it.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.tools import patience

NAME = "disk"
#: Where the bytes begin on the disk, and how many follow in the log. A flush has none.
_RECORD = struct.Struct("<QQ")
_FLUSH = (1 << 64) - 1


@dataclass(frozen=True)
class Write:
    """Bytes that were written to the disk at an offset."""

    offset: int
    data: bytes


#: None stands for a flush: what was written before is durable.
Log = list[Write | None]


def read_log(path: Path) -> Log:
    """Read all that was noted."""
    found: Log = []
    with path.open("rb") as file:
        while head := file.read(_RECORD.size):
            offset, size = _RECORD.unpack(head)
            found.append(None if offset == _FLUSH else Write(offset, file.read(size)))
    return found


@contextmanager
def logged_disk(directory: Path, disk: Path, log: Path) -> Iterator[Path]:
    """Serve the disk as long as the block lasts, and yield the file to set a loop device on."""
    argv = [sys.executable, "-m", __name__, str(directory), str(disk), str(log)]
    server = subprocess.Popen(argv)
    try:
        patience.await_that(lambda: _is_served(directory, server), "the disk is not served")
        yield directory / NAME
    finally:
        subprocess.run(["umount", directory], check=True)
        server.wait(patience.SECONDS)
    assert server.returncode == 0


def _is_served(directory: Path, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, "the server of the disk has ended"
    return (directory / NAME).exists()


def _serve(directory: str, disk: str, log: str) -> None:
    import pyfuse3
    import trio

    # ruff: noqa: ARG002 - the arguments are those of pyfuse3.Operations
    class Files(pyfuse3.Operations):
        """A directory with one file."""

        def __init__(self, disk: int, log: BinaryIO) -> None:
            super().__init__()
            self._disk = disk
            self._log = log

        async def lookup(
            self, parent_inode: pyfuse3.InodeT, name: bytes, ctx: pyfuse3.RequestContext
        ) -> pyfuse3.EntryAttributes:
            if name != NAME.encode():
                raise pyfuse3.FUSEError(2)
            return await self.getattr(pyfuse3.InodeT(pyfuse3.ROOT_INODE + 1), ctx)

        async def getattr(
            self, inode: pyfuse3.InodeT, ctx: pyfuse3.RequestContext
        ) -> pyfuse3.EntryAttributes:
            found = pyfuse3.EntryAttributes()
            found.st_ino = inode
            is_root = inode == pyfuse3.ROOT_INODE
            found.st_mode = pyfuse3.ModeT(0o40755 if is_root else 0o100600)
            found.st_size = 0 if is_root else os.fstat(self._disk).st_size
            return found

        async def open(
            self, inode: pyfuse3.InodeT, flags: int, ctx: pyfuse3.RequestContext
        ) -> pyfuse3.FileInfo:
            return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(0), direct_io=True)

        async def read(self, fh: pyfuse3.FileHandleT, off: int, size: int) -> bytes:
            return os.pread(self._disk, size, off)

        async def write(self, fh: pyfuse3.FileHandleT, off: int, buf: bytes) -> int:
            data = bytes(buf)
            self._log.write(_RECORD.pack(off, len(data)) + data)
            return os.pwrite(self._disk, data, off)

        async def fsync(self, fh: pyfuse3.FileHandleT, datasync: bool) -> None:
            self._log.write(_RECORD.pack(_FLUSH, 0))

    with Path(disk).open("r+b") as file, Path(log).open("wb", buffering=0) as noted:
        options = {*pyfuse3.default_options, "fsname=logged-disk"}
        pyfuse3.init(Files(file.fileno(), noted), directory, options)
        try:
            trio.run(pyfuse3.main)
        finally:
            pyfuse3.close(unmount=False)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
