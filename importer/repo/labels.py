"""The SELinux label of a file: its xattr `security.selinux`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layers.entry import Owner, Xattrs

SELINUX = b"security.selinux"


def labelled_owner(owner: Owner, label: str | None) -> Owner:
    """Return the owner with this label added, ended by a NUL as the kernel and ostree have it.

    Without a label, return the owner unchanged.
    """
    if label is None:
        return owner
    xattrs = (*owner.xattrs, (SELINUX, label.encode() + b"\0"))
    return owner._replace(xattrs=tuple(sorted(xattrs)))


def label_of(owner: Owner) -> Xattrs:
    """Return the owner's label as a list of at most one xattr."""
    return tuple(xattr for xattr in owner.xattrs if xattr[0] == SELINUX)


def unlabelled(owner: Owner) -> Owner:
    """Return the owner without its label."""
    return owner._replace(xattrs=tuple(xattr for xattr in owner.xattrs if xattr[0] != SELINUX))
