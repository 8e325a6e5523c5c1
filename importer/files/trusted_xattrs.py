"""Check that this process sees the xattrs with which root's overlayfs marks opaque directories."""

from __future__ import annotations

import os
from pathlib import Path

from importer.errors import ImporterError

_CAP_SYS_ADMIN = 21  # include/uapi/linux/capability.h
_WHOLE_MACHINE = ["0", "0", "4294967295"]


def check_sees_trusted(layer: str, owner: int) -> None:
    """Raise ImporterError where an opaque directory could look like any other.

    The kernel shows `trusted.*` to root only (xattr(7)), and only root's own stores have them.
    Without them, files that a layer has deleted would reappear. `owner` is the layer's uid.
    """
    if owner != os.geteuid() and not _sees_trusted():
        raise ImporterError(
            f"{layer} belongs to somebody else, whose overlay xattrs are not visible",
            hint="run as root, or within `podman unshare` for a store of your own",
        )


def _sees_trusted() -> bool:
    """Return whether we have CAP_SYS_ADMIN in the machine's own user namespace."""
    process = Path("/proc/self")
    status = process.joinpath("status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    uid_map = process.joinpath("uid_map").read_text().split()
    return uid_map == _WHOLE_MACHINE and bool(effective >> _CAP_SYS_ADMIN & 1)
