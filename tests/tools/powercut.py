"""A command on a disk whose power is cut: the disk as each moment leaves it.

A command runs once, on a file system whose disk notes its writes and flushes
(tests/tools/loggeddisk.py). Then a disk is made for each of some moments: what was flushed before
the moment is there; of the rest a random part, in pieces of 4 kB.
"""

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tools import patience
from tests.tools.loggeddisk import Log, logged_disk, read_log
from tests.tools.process import run

#: What a disk writes whole or not at all, in bytes.
SECTOR = 4096
#: mkfs.xfs makes nothing smaller than 300 MB. The file is sparse.
SIZE = 512 << 20
MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}


@dataclass(frozen=True)
class Recording:
    """The disk before a command, what was done to the disk, and the number of writes and flushes
    that had come when the command returned."""

    before: Path
    log: Log
    returned: int

    def moments(self, count: int, seed: int) -> list[int]:
        """Choose moments: the one when the command has returned, and others before."""
        chosen = random.Random(seed).sample(range(self.returned), min(count, self.returned))
        return [*sorted(chosen), self.returned]


@contextmanager
def mounted(disk: Path, place: Path) -> Iterator[None]:
    """Mount a file as a disk, on a loop device of its own: mount(8) shares one that another mount
    has, and with it the blocks that the kernel holds."""
    device = run(["losetup", "--find", "--show", disk]).strip()
    try:
        run(["mount", device, place])
        try:
            yield
        finally:
            run(["umount", place])
    finally:
        run(["losetup", "--detach", device])
        # The kernel detaches a device when nobody has it open any more, such as `losetup --all`.
        patience.await_that(lambda: not _loop_devices(disk), f"{device} is not detached")
        # btrfs takes two disks with one UUID for one, even when the first is gone.
        subprocess.run(["btrfs", "device", "scan", "--forget"], check=False, capture_output=True)


def record(
    home: Path, kind: str, prepare: Callable[[], None], command: Callable[[], None]
) -> Recording:
    """Prepare a file system at `home/mnt`, and note what a command does to its disk."""
    place, served = home / "mnt", home / "served"
    for directory in (place, served):
        directory.mkdir(parents=True)
    before, disk, log = home / "before", home / "disk", home / "log"
    with before.open("wb") as file:
        file.truncate(SIZE)
    run([*MAKE[kind], before])
    with mounted(before, place):
        prepare()
    _copy(before, disk)
    with logged_disk(served, disk, log) as served_disk, mounted(served_disk, place):
        command()
        returned = len(read_log(log))
    return Recording(before, read_log(log), returned)


@contextmanager
def after_cut(recording: Recording, home: Path, moment: int, seed: int) -> Iterator[None]:
    """Mount the disk on `home/mnt` as a cut at this moment leaves it."""
    disk = home / "cut"
    _copy(recording.before, disk)
    flushed = _last_flush(recording.log, moment)
    _write(disk, recording.log[:flushed], None)
    _write(disk, recording.log[flushed:moment], random.Random(seed + moment))
    try:
        with mounted(disk, home / "mnt"):
            yield
    finally:
        disk.unlink()


def _loop_devices(disk: Path) -> str:
    return run(["losetup", "--noheadings", "--output=NAME", "--associated", disk])


def _last_flush(log: Log, moment: int) -> int:
    return next((n for n in range(moment, 0, -1) if log[n - 1] is None), 0)


def _write(disk: Path, log: Log, chance: random.Random | None) -> None:
    """Write what is noted; with a `chance` about half of it, sector by sector."""
    with disk.open("r+b") as file:
        for write in log:
            for at in range(0, len(write.data) if write else 0, SECTOR):
                if write and (chance is None or chance.random() < 0.5):
                    file.seek(write.offset + at)
                    file.write(write.data[at : at + SECTOR])


def _copy(disk: Path, to: Path) -> None:
    with disk.open("rb") as file:
        os.fsync(file.fileno())  # cp asks the file system for holes; they are right on the disk
    run(["cp", "--sparse=always", disk, to])
