"""Decide for each file system of a tree whether files with the same ctime are unchanged.

They are where the kernel has set ctime at each change, and nobody could choose it (inode(7)). Who
makes an image of a file system chooses it: mkfs.erofs, mksquashfs and `mke2fs -d` can give a
changed file the inode, size and times that it had before. Network file systems, FUSE and overlayfs
pass on what somebody else says.
"""

from __future__ import annotations

import logging
import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from importer.files.descriptors import mount_of
from layers.errors import printable

if TYPE_CHECKING:
    from importer.files.descriptors import Mount

_log = logging.getLogger(__name__)
_KINDS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "tmpfs")
_ON_NO_DEVICE = ("tmpfs",)
# Block devices whose content is a file, or another machine's: an image, as a rule.
_IMAGES = ("loop", "nbd")
_SYS = Path("/sys")


class FileSystems:
    """The file systems in which a walk has been, by the device number that stat(2) returns."""

    def __init__(self) -> None:
        self._identities: dict[int, int | None] = {}

    def enter(self, path: bytes, descriptor: int, device: int) -> None:
        """Note the file system of an open directory. Raise OSError if /proc or /sys cannot be
        read."""
        if device in self._identities:
            return
        mount = mount_of(descriptor)
        reason = _distrusted(mount)
        self._identities[device] = _identity(mount, descriptor, device) if not reason else None
        told = f"every file is read: {reason}" if reason else "unchanged files are not read again"
        on = f"{mount.kind} on {mount.source}" if mount is not None else "unknown"
        _log.debug("%s: file system %s: %s", printable(path), on, told)

    def identity(self, device: int) -> int | None:
        """Return a number for the file system, None if its ctime says nothing."""
        return self._identities.get(device)


def _identity(mount: Mount | None, descriptor: int, device: int) -> int:
    """Return 64 bits made of the file system's UUID, or what the kernel has for it (statvfs(3),
    `f_fsid`; a btrfs subvolume has its own), and of the device's number."""
    text = f"{mount and mount.kind} {os.fstatvfs(descriptor).f_fsid} {device}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def _distrusted(mount: Mount | None) -> str:
    """Return why unchanged times say nothing about a file; "" if they can be trusted."""
    if mount is None:
        return "the mount is not visible"
    if mount.kind not in _KINDS:
        return "its times are not set by this kernel alone"
    if "ro" in mount.options:
        return "it is read-only, so another program has set its times"
    if mount.kind in _ON_NO_DEVICE:
        return ""
    device = _block_device(mount)
    if device is None:
        return "its device is not visible"
    return "it is in a file or on another machine" if _is_image(device) else ""


def _block_device(mount: Mount) -> Path | None:
    """Return the directory below /sys/devices of the mount's device, None if there is none."""
    if mount.device.startswith("0:"):  # btrfs has device numbers of its own
        link = _SYS / "class/block" / Path(mount.source).resolve().name
    else:
        link = _SYS / "dev/block" / mount.device
    try:
        return link.resolve(strict=True)
    except FileNotFoundError:
        return None


def _is_image(device: Path) -> bool:
    """Return whether the device is an image, or a partition of one or stacked upon one."""
    if any(part.startswith(_IMAGES) for part in device.parts):
        return True
    try:
        below = list((device / "slaves").iterdir())
    except FileNotFoundError:  # a partition has none
        return False
    return any(_is_image(device.resolve()) for device in below)
