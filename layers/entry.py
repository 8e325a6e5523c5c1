"""A tar entry as it was read, before it becomes part of a tree."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

SELINUX = b"security.selinux"  # the xattr with a file's label

type Xattrs = tuple[tuple[bytes, bytes], ...]


class Kind(Enum):
    """The kind of an entry. The values are the type flags of POSIX's ustar format."""

    FILE = b"0"
    HARDLINK = b"1"
    SYMLINK = b"2"
    CHAR = b"3"
    BLOCK = b"4"
    DIRECTORY = b"5"
    FIFO = b"6"


class Owner(NamedTuple):
    """A file's permission bits (07777 at most), its user and group ids, and its xattrs, sorted by
    name."""

    mode: int
    uid: int
    gid: int
    xattrs: Xattrs = ()


class Entry(NamedTuple):
    """One member of a tar. `path` and `link` as the tar spells them; `size` of the content in
    bytes."""

    path: bytes
    kind: Kind
    owner: Owner
    size: int = 0
    link: bytes = b""
    device: tuple[int, int] = (0, 0)


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
