"""Choose which of an image's extended attributes are stored.

ostree would store an xattr that the kernel refuses to set, and then fail to check it out on the
device.
"""

from __future__ import annotations

from layers.entry import Kind, Owner
from layers.errors import LayerError
from layers.ostree.bounds import check_xattrs
from layers.tree.acl import is_settable, says_what_the_mode_does

# overlayfs keeps its own state in the first two (the kernel's overlayfs.rst, "redirect_dir",
# "metacopy"), so an image's own would change what the store means; and files are labelled
# by the host's policy, as docker, podman and umoci see it, too.
_FOREIGN = (b"trusted.overlay.", b"user.overlay.", b"security.selinux")
# xattr(7): the classes; of "system." only the POSIX ACLs can be set as plain values.
_CLASSES = (b"security.", b"trusted.", b"user.")
_ACCESS_ACL = b"system.posix_acl_access"
_DEFAULT_ACL = b"system.posix_acl_default"
_ACLS = (_ACCESS_ACL, _DEFAULT_ACL)
_CAPABILITY = b"security.capability"
# include/uapi/linux/capability.h: revisions 2 and 3 and their sizes; 1 can no longer be set.
_CAPABILITY_SIZES = {2: 20, 3: 24}


def kept(owner: Owner, kind: Kind) -> Owner:
    """Return the owner with the xattrs that a commit stores. Raise LayerError for an xattr that
    Linux or ext4 could not hold.

    An empty xattr is dropped: libostree loses it when it reads a file of a bare repo, whose fsck
    would then call the object corrupt. umoci and `ostree commit` drop it as well.
    """
    if not owner.xattrs:
        return owner
    found = owner._replace(xattrs=tuple(x for x in owner.xattrs if _is_kept(*x, kind)))
    check_xattrs(found.xattrs)
    return found


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
    # What such an ACL says the kernel puts into the mode, and forgets the xattr.
    return not (name == _ACCESS_ACL and says_what_the_mode_does(value))


def _is_known(name: bytes) -> bool:
    """Return whether Linux has the class of the xattr, and the name is longer than its class."""
    return name in _ACLS or (name.startswith(_CLASSES) and name not in _CLASSES)


def _check_acl(name: bytes, value: bytes, kind: Kind) -> None:
    if not is_settable(value):
        raise LayerError(f"{name.decode()} of {len(value)} bytes is not one Linux can set")
    if name == _DEFAULT_ACL and kind is not Kind.DIRECTORY:
        raise LayerError("a default ACL on what is no directory")


def _check_capability(value: bytes) -> None:
    """Raise LayerError for a capability that Linux would not set: it must not be lost silently."""
    revision = value[3] if len(value) > 3 else 0
    if _CAPABILITY_SIZES.get(revision) != len(value):
        raise LayerError(f"security.capability of {len(value)} bytes is not one Linux can set")
