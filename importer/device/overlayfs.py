"""Ask the kernel about a store's mount: whether it is an overlayfs, and carries a container's.

A container's root is an overlay over the store. Linux stacks two file systems at most
(include/linux/fs.h, FILESYSTEM_MAX_STACK_DEPTH). A store on composefs, or below a system extension,
is on one; with both, it is on two, and no container starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from pathlib import Path

from importer.device.folder import DeviceError, Folder

_MOUNTS = Path("/proc/self/mountinfo")
# Linux 5.2, include/uapi/linux/mount.h; the calls have these numbers on every architecture.
_FSOPEN, _FSCONFIG = 430, 431
_CLOEXEC, _SET_STRING, _CREATE = 1, 1, 6
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def is_on_overlayfs(store: Folder) -> bool:
    """Look the mount of a store up by its device number, proc(5)."""
    status = store.status("overlay")
    if status is None:
        return False
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    lines = (line.partition(" - ") for line in _MOUNTS.read_text(errors="replace").splitlines())
    kinds = (kind.split(" ")[0] for mount, _, kind in lines if mount.split(" ")[2] == device)
    return next(kinds, "") == "overlay"


def carries_containers(store: Folder) -> bool:
    """Return whether the kernel makes an overlay of two directories of the store.

    It is mounted nowhere, fsopen(2). Raise DeviceError if this process may not ask.
    """
    with store.directory("overlay") as first, store.directory("overlay-layers") as second:
        number = _refusal(f"/proc/self/fd/{first}:/proc/self/fd/{second}")
    if number not in {0, errno.EINVAL}:
        raise DeviceError(
            "the kernel does not say whether containers can be mounted over the store:"
            f" {os.strerror(number)}; only root may ask"
        )
    return number == 0


def _refusal(lowers: str) -> int:
    """Return the error number of an overlay's creation, 0 if it succeeds."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    context = call(_FSOPEN, b"overlay", _CLOEXEC)
    if context < 0:
        return ctypes.get_errno()
    try:
        for command, key, value in (
            (_SET_STRING, b"lowerdir", lowers.encode()),
            (_CREATE, None, None),
        ):
            if call(_FSCONFIG, context, command, key, value, 0) < 0:
                return ctypes.get_errno()
        return 0
    finally:
        os.close(context)


def counts_erofs(release: str) -> bool:
    """Return whether a kernel takes EROFS, on which composefs is, for a stacked file system."""
    match = _VERSION.match(release)
    version = tuple(int(part or 0) for part in match.groups()) if match else ()
    return (6, 18, 0) <= version <= (6, 18, 4) or version == (6, 12, 63)
