"""A tar entry as it was read, before it becomes part of a tree."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

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
