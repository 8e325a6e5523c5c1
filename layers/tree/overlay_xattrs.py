"""Read the xattrs that overlayfs and fuse-overlayfs set in a layer's directory.

Sources: the kernel's Documentation/filesystems/overlayfs.rst ("Whiteouts and opaque directories",
"redirect_dir", "Metadata only copy up"; whiteouts as xattrs since Linux 6.7, fs/overlayfs/util.c,
ovl_path_check_xwhiteout_xattr); fuse-overlayfs, main.c; and containers-storage, pkg/idtools, for
`user.containers.override_stat`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layers.entry import Kind, Owner
from layers.errors import LayerError

if TYPE_CHECKING:
    from layers.entry import Xattrs

# Written by root, by a mount with the option `userxattr`, and by fuse-overlayfs.
_NAMESPACES = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.")
OPAQUE_XATTRS = tuple(namespace + b"opaque" for namespace in _NAMESPACES)
_ELSEWHERE = (b"metacopy", b"redirect")
_OVERRIDE = b"user.containers.override_stat"
# uid:gid:mode[:type[-major-minor]]; the mode is octal, in some versions with the type's bits.
_STAT = re.compile(rb"(\d{1,10}):(\d{1,10}):([0-7]{1,7})(?::([a-z]+)(?:-(\d{1,7})-(\d{1,7}))?)?")
_MAX_ID = 2**32 - 2  # chown(2) takes the one above for "as it is"
_KINDS = {
    None: None,  # as it is
    b"file": Kind.FILE,
    b"dir": Kind.DIRECTORY,
    b"symlink": Kind.SYMLINK,
    b"pipe": Kind.FIFO,
    b"block": Kind.BLOCK,
    b"char": Kind.CHAR,
}


def _values(xattrs: Xattrs, mark: bytes) -> list[bytes]:
    names = [namespace + mark for namespace in _NAMESPACES]
    return [value for name, value in xattrs if name in names]


def is_opaque(xattrs: Xattrs) -> bool:
    """Return whether a directory is opaque. The value `x` marks something else."""
    return b"y" in _values(xattrs, b"opaque")


def is_whiteout(xattrs: Xattrs) -> bool:
    """Return whether an empty regular file stands for a whiteout of its name."""
    return bool(_values(xattrs, b"whiteout"))


def check_complete(xattrs: Xattrs) -> None:
    """Raise LayerError for a file or directory whose content is in another layer's directory."""
    for mark in _ELSEWHERE:
        if _values(xattrs, mark):
            raise LayerError(
                f"the layer's directory uses overlayfs's {mark.decode()}, so its content is not"
                " all there",
                hint="a container wrote this layer: commit the container, or pull the image again,"
                " without metacopy=on and redirect_dir=on",
            )


def without_opaque(xattrs: Xattrs, value: bytes) -> Xattrs:
    """Return the xattrs without those that make a directory opaque by this value."""
    return tuple(pair for pair in xattrs if not (pair[0] in OPAQUE_XATTRS and pair[1] == value))


def without_marks(xattrs: Xattrs) -> Xattrs:
    """Return the file's own xattrs, without overlayfs's."""
    return tuple(x for x in xattrs if x[0] != _OVERRIDE and not x[0].startswith(_NAMESPACES))


def overridden(
    owner: Owner, kind: Kind, device: tuple[int, int]
) -> tuple[Owner, Kind, tuple[int, int]]:
    """Return owner, kind and device as fuse-overlayfs or a `force_mask` store means them.

    Where files cannot be given to other users, an xattr holds the owner. Raise LayerError if it is
    malformed.
    """
    said = dict(owner.xattrs).get(_OVERRIDE)
    if said is None:
        return owner, kind, device
    match = _STAT.fullmatch(said)
    if match is None or max(int(match[1]), int(match[2])) > _MAX_ID or match[4] not in _KINDS:
        raise LayerError(f"{_OVERRIDE.decode()} is {said[:60]!r}")
    uid, gid, mode, name, major, minor = match.groups()
    owner = owner._replace(mode=int(mode, 8) & 0o7777, uid=int(uid), gid=int(gid))
    return owner, _KINDS[name] or kind, (int(major or device[0]), int(minor or device[1]))
