"""Find the mount that an open file is in: proc_pid_fdinfo(5), proc_pid_mountinfo(5)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc/self")


class Mount(NamedTuple):
    """A mounted file system: its device's number `MAJOR:MINOR` (0 as MAJOR if it is on none), type
    (`ext4`), source (`/dev/sda1`), and options of the file system as a whole."""

    device: str
    kind: str
    source: str
    options: tuple[str, ...]


def mount_id(descriptor: int) -> str:
    """Return the number of the mount that a descriptor's file is in. Raise OSError as open(2)
    does."""
    lines = (_PROC / f"fdinfo/{descriptor}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:")).split()[1]


def mount_of(descriptor: int) -> Mount | None:
    """Return the mount that a descriptor's file is in, None if this process cannot see it. Raise
    OSError as open(2) does."""
    prefix = f"{mount_id(descriptor)} "
    text = (_PROC / "mountinfo").read_text(errors="surrogateescape")
    for line in text.splitlines():
        if line.startswith(prefix):
            fields, _, rest = line.partition(" - ")
            kind, source, options = rest.split(" ", 2)
            return Mount(fields.split(" ")[2], kind, source, tuple(options.split(",")))
    return None
