"""Which of an image's extended attributes go into the store.

What a kernel would refuse to set must not get there: ostree would store it, and then fail
to check it out on the device.
"""

from __future__ import annotations

from layers.entry import Kind, Owner
from layers.errors import LayerError

# overlayfs keeps its own state in the first two (the kernel's overlayfs.rst, "redirect_dir",
# "metacopy"), so an image's own would change what the store means; and files are labelled
# by the host's policy, as docker, podman and umoci see it, too.
_FOREIGN = (b"trusted.overlay.", b"user.overlay.", b"security.selinux")
# xattr(7): the classes; of "system." only the POSIX ACLs can be set as plain values.
_CLASSES = (
    b"security.",
    b"trusted.",
    b"user.",
    b"system.posix_acl_access",
    b"system.posix_acl_default",
)
_CAPABILITY = b"security.capability"
# include/uapi/linux/capability.h: revisions 2 and 3 and their sizes; 1 can no longer be set.
_CAPABILITY_SIZES = {2: 20, 3: 24}


def kept(owner: Owner, kind: Kind) -> Owner:
    """The owner without the xattrs that are not to be stored.

    Those of an empty value are among them: libostree leaves them out when it reads a file
    back from a bare repo, whose fsck would then call the object corrupt. umoci and
    `ostree commit` leave them out as well.
    """
    if not owner.xattrs:
        return owner
    return owner._replace(xattrs=tuple(x for x in owner.xattrs if _is_kept(*x, kind)))


def _is_kept(name: bytes, value: bytes, kind: Kind) -> bool:
    if name == _CAPABILITY:
        _check_capability(value)
    if not value or name.startswith(_FOREIGN) or not name.startswith(_CLASSES):
        return False
    # xattr(7): user.* attributes are for files and directories only.
    return not (kind is Kind.SYMLINK and name.startswith(b"user."))


def _check_capability(value: bytes) -> None:
    """A capability that cannot be set must not be lost without a word, either."""
    revision = value[3] if len(value) > 3 else 0
    if _CAPABILITY_SIZES.get(revision) != len(value):
        raise LayerError(f"security.capability of {len(value)} bytes is not one Linux can set")
