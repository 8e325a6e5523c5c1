"""Open files, by their descriptors: close them in the end, find their kind and their mount."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc/self")


@contextmanager
def held(descriptor: int) -> Iterator[int]:
    """Yield a descriptor, and close it at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def check_regular(descriptor: int) -> None:
    """Raise OSError unless the open file is regular: a fifo or a device could keep us waiting for
    ever."""
    mode = os.fstat(descriptor).st_mode
    if S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")


class Mount(NamedTuple):
    """A mounted file system: its device's number `MAJOR:MINOR` (0 as MAJOR if it is on none), type
    (`ext4`), source (`/dev/sda1`), and options of the file system as a whole."""

    device: str
    kind: str
    source: str
    options: tuple[str, ...]


def mount_id(descriptor: int) -> str:
    """Return the number of the mount that a descriptor's file is in: proc_pid_fdinfo(5). Raise
    OSError as open(2) does."""
    lines = (_PROC / f"fdinfo/{descriptor}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:")).split()[1]


def mount_of(descriptor: int) -> Mount | None:
    """Return the mount that a descriptor's file is in, None if this process cannot see it:
    proc_pid_mountinfo(5). Raise OSError as open(2) does."""
    prefix = f"{mount_id(descriptor)} "
    text = (_PROC / "mountinfo").read_text(errors="surrogateescape")
    for line in text.splitlines():
        if line.startswith(prefix):
            fields, _, rest = line.partition(" - ")
            kind, source, options = rest.split(" ", 2)
            return Mount(fields.split(" ")[2], kind, source, tuple(options.split(",")))
    return None
