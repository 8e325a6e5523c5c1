"""The SELinux label of a file: the xattr `security.selinux`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layers.entry import Owner

SELINUX = b"security.selinux"


def labelled_owner(owner: Owner, label: str | None) -> Owner:
    """Return the owner with this label added, ended by a NUL as the kernel and ostree have it.

    Without a label, return the owner unchanged.
    """
    if label is None:
        return owner
    xattrs = (*owner.xattrs, (SELINUX, label.encode() + b"\0"))
    return owner._replace(xattrs=tuple(sorted(xattrs)))
