"""Choose which of an image's extended attributes are stored.

ostree would store an xattr that the kernel refuses to set, and then fail to check it out on the
device. POSIX ACLs are judged by include/uapi/linux/posix_acl_xattr.h, and fs/posix_acl.c,
`posix_acl_valid`.
"""

from __future__ import annotations

import re
import struct

from layers.entry import Kind, Owner
from layers.errors import LayerError
from layers.ostree.bounds import check_xattrs

# overlayfs keeps its own state in the first two (the kernel's overlayfs.rst, "redirect_dir",
# "metacopy"), so an image's own would change the store; and the host's policy labels files, as with
# docker, podman and umoci.
_FOREIGN = (b"trusted.overlay.", b"user.overlay.", b"security.selinux")
# xattr(7): the classes; of "system." only the POSIX ACLs can be set as plain values.
_CLASSES = (b"security.", b"trusted.", b"user.")
_ACCESS_ACL = b"system.posix_acl_access"
_DEFAULT_ACL = b"system.posix_acl_default"
_ACLS = (_ACCESS_ACL, _DEFAULT_ACL)
_CAPABILITY = b"security.capability"
# include/uapi/linux/capability.h: revisions 2 and 3 and their sizes; 1 can no longer be set.
_CAPABILITY_SIZES = {2: 20, 3: 24}
_ACL_VERSION = struct.pack("<I", 2)
_ACL_ENTRY = struct.Struct("<HHI")  # tag, permissions, id
_USER, _GROUP, _MASK = 0x02, 0x08, 0x10
# The owner, users, the group, groups, the mask, all others: in this order.
_ACL_TAGS = re.compile(rb"\x01\x02*\x04\x08*\x10?\x20")


def kept(owner: Owner, kind: Kind) -> Owner:
    """Return the owner with the xattrs that a commit stores. Raise LayerError for an xattr that
    Linux or ext4 could not hold.

    An empty xattr is dropped: libostree loses it when it reads a file of a bare repo, whose fsck
    would then call the object corrupt. umoci and `ostree commit` drop it as well.
    """
    if not owner.xattrs:
        return owner
    xattrs = tuple(xattr for xattr in owner.xattrs if _is_kept(*xattr, kind))
    check_xattrs(xattrs)
    return owner._replace(xattrs=xattrs)


def _is_kept(name: bytes, value: bytes, kind: Kind) -> bool:
    if name == _CAPABILITY:
        _check_capability(value)
    if not value or name.startswith(_FOREIGN) or not _is_known(name):
        return False
    # xattr(7): user.* attributes are for files and directories only; nor has a symlink an ACL.
    if kind is Kind.SYMLINK and (name.startswith(b"user.") or name in _ACLS):
        return False
    if name in _ACLS:
        _check_acl(name, value, kind)
    # The kernel puts an access ACL of the owner, the group and others alone into the mode, and
    # forgets the xattr.
    return not (name == _ACCESS_ACL and len(value) == len(_ACL_VERSION) + 3 * _ACL_ENTRY.size)


def _is_known(name: bytes) -> bool:
    """Return whether Linux has the class of the xattr, and the name is longer than its class."""
    return name in _ACLS or (name.startswith(_CLASSES) and name not in _CLASSES)


def _check_acl(name: bytes, value: bytes, kind: Kind) -> None:
    if not is_settable(value):
        raise LayerError(f"{name.decode()} of {len(value)} bytes is not one Linux can set")
    if name == _DEFAULT_ACL and kind is not Kind.DIRECTORY:
        raise LayerError("a default ACL on what is no directory")


def is_settable(value: bytes) -> bool:
    """Return whether the xattr's value is an ACL that Linux would set."""
    body = value[4:]
    if value[:4] != _ACL_VERSION or len(body) % _ACL_ENTRY.size:
        return False
    entries = list(_ACL_ENTRY.iter_unpack(body))
    tags = [tag for tag, _, _ in entries]
    named = _USER in tags or _GROUP in tags
    return (
        max(tags, default=256) < 256
        and _ACL_TAGS.fullmatch(bytes(tags)) is not None
        and (_MASK in tags or not named)
        and all(permissions <= 7 for _, permissions, _ in entries)
        and all(who != 2**32 - 1 for tag, _, who in entries if tag in (_USER, _GROUP))
    )


def _check_capability(value: bytes) -> None:
    """Raise LayerError for a capability that Linux would not set: it must not be lost silently."""
    revision = value[3] if len(value) > 3 else 0
    if _CAPABILITY_SIZES.get(revision) != len(value):
        raise LayerError(f"security.capability of {len(value)} bytes is not one Linux can set")
