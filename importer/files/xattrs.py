"""Read the xattrs of files, and check that those of root's overlayfs are visible."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.foreign import UNREADABLE

if TYPE_CHECKING:
    from layers.entry import Xattrs

_CAP_SYS_ADMIN = 21  # include/uapi/linux/capability.h
_WHOLE_MACHINE = ["0", "0", "4294967295"]


def xattrs_of(descriptor: int) -> Xattrs:
    """Return the xattrs visible to this process, sorted by name, empty ones included.

    The descriptor is that of an open file, or one of `beneath.look_at`, also of a symlink. Raise
    OSError as listxattr(2) does.
    """
    try:
        return _read(descriptor)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
    # flistxattr(2) rejects an O_PATH descriptor; its path in /proc works, and takes longer
    # (proc_pid_fd(5)).
    return _read(f"/proc/self/fd/{descriptor}")


def _read(file: int | str) -> Xattrs:
    try:
        names = os.listxattr(file)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    return tuple(sorted((os.fsencode(name), os.getxattr(file, name)) for name in names))


def check_sees_trusted(layer: bytes, owner: int) -> None:
    """Raise ImporterError where an opaque directory could look like any other.

    The kernel shows `trusted.*` to root only (xattr(7)), and only root's own stores have them.
    Without them, files that a layer has deleted would reappear. `layer` is the layer's path,
    `owner` its uid.
    """
    if owner != os.geteuid() and not _sees_trusted():
        raise ImporterError(
            "it belongs to somebody else, whose overlay xattrs are not visible",
            hint=UNREADABLE,
            path=layer,
        )


def _sees_trusted() -> bool:
    """Return whether we have CAP_SYS_ADMIN in the machine's own user namespace."""
    process = Path("/proc/self")
    status = process.joinpath("status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    uid_map = process.joinpath("uid_map").read_text().split()
    return uid_map == _WHOLE_MACHINE and bool(effective >> _CAP_SYS_ADMIN & 1)
