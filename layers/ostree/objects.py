"""The objects of an ostree repo: the bytes that their checksums cover, and the bytes in their
files.

Source: ostree's manual, "Anatomy of an OSTree repository", and src/libostree/ostree-core.h for the
types. libostree makes the same bytes, but slowly where there are many objects.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from layers.ostree import gvariant
from layers.ostree.gvariant import array, members, string, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.digest import Hasher
    from layers.entry import Owner

# A mode's file type bits.
FILE, SYMLINK, DIRECTORY = 0o100000, 0o120000, 0o040000
# All numbers are big-endian, whatever GVariant would have them be.
_META = struct.Struct(">3I")
_HEADER = struct.Struct(">4I")
_ZHEADER = struct.Struct(">Q4I")
# In front of a header that begins a stream: its size, and padding to 8 bytes.
_FRAME = struct.Struct(">II")


class Content(NamedTuple):
    """A content object to be written: a file or a symlink.

    The checksum covers `header` and the content. The other fields are what a repo of its mode
    stores in the header's place.
    """

    header: bytes
    mode: int  # with the file type's bits
    ostreemeta: bytes  # bare-user: the xattr with owner, mode and xattrs
    zheader: bytes  # archive: in front of the deflated content
    target: bytes  # a symlink's


class Stored(NamedTuple):
    """A directory that is in the repo: the checksums of its dirtree and its dirmeta."""

    contents: str
    meta: str


def content_of(owner: Owner, target: bytes) -> Content:
    """Return the object of a symlink to `target`, or of a file if `target` is empty. A symlink's
    mode is always 0777, as in Linux."""
    return _symlink(owner, target) if target else _file(owner)


@lru_cache(maxsize=4096)
def _file(owner: Owner) -> Content:
    return _content(owner, FILE, b"")


def _symlink(owner: Owner, target: bytes) -> Content:
    return _content(owner._replace(mode=0o777), SYMLINK, target)


def _content(owner: Owner, kind: int, target: bytes) -> Content:
    """Make all headers of one object.

    The archive's header, `(tuuuusa(ayay))`, holds the size too, which is not known yet: see
    ostree-core.c, `_ostree_zlib_file_header_new`.
    """
    mode, xattrs = kind | owner.mode, _xattrs(owner)
    numbers = _ZHEADER.pack(0, owner.uid, owner.gid, mode, 0)
    return Content(
        content_header(owner, kind, target),
        mode,
        _metadata(owner, mode),
        _framed(members(string(target), xattrs, fixed=numbers)),
        target,
    )


def content_header(owner: Owner, kind: int, target: bytes) -> bytes:
    """Return the header that a content object's checksum and its stream begin with.

    A be32 size, 4 zero bytes, then `(uuuusa(ayay))`: uid, gid, mode, rdev, target, xattrs. Source:
    ostree-core.c, `_ostree_file_header_new`.
    """
    numbers = _HEADER.pack(owner.uid, owner.gid, kind | owner.mode, 0)
    return _framed(members(string(target), _xattrs(owner), fixed=numbers))


def file_hasher(owner: Owner) -> Hasher:
    """Return the hash of a file's object so far; the caller adds the content."""
    return sha256(content_header(owner, FILE, b""))


def symlink_checksum(owner: Owner, target: bytes) -> str:
    """Return the checksum of a symlink's object."""
    return sha256(content_header(owner._replace(mode=0o777), SYMLINK, target)).hexdigest()


def dirmeta(owner: Owner) -> bytes:
    """Return a directory's owner, mode and xattrs: `OSTREE_DIRMETA_GVARIANT_FORMAT`."""
    return _metadata(owner, DIRECTORY | owner.mode)


def dirtree(files: Mapping[bytes, str], directories: Mapping[bytes, Stored]) -> bytes:
    """Return a directory's entries, sorted by the bytes of their names; `files` by the checksums of
    their objects: `OSTREE_TREE_GVARIANT_FORMAT`, `(a(say)a(sayay))`."""
    return members(
        array([members(string(name), bytes.fromhex(files[name])) for name in sorted(files)]),
        array([_directory(name, directories[name]) for name in sorted(directories)]),
    )


def read_dirtree(data: bytes) -> tuple[dict[bytes, str], dict[bytes, Stored]]:
    """Return the files and directories that `dirtree` was given. Raise ValueError if the data is
    malformed."""
    files, directories = gvariant.parts(data, 2)
    pairs = (gvariant.parts(one, 2) for one in gvariant.elements(files))
    triples = (gvariant.parts(one, 3) for one in gvariant.elements(directories))
    return (
        {text(name): checksum.hex() for name, checksum in pairs},
        {text(name): Stored(contents.hex(), meta.hex()) for name, contents, meta in triples},
    )


def _directory(name: bytes, stored: Stored) -> bytes:
    return members(string(name), bytes.fromhex(stored.contents), bytes.fromhex(stored.meta))


def _metadata(owner: Owner, mode: int) -> bytes:
    """Return `(uuua(ayay))`: uid, gid, mode, xattrs."""
    return members(_xattrs(owner), fixed=_META.pack(owner.uid, owner.gid, mode))


def _xattrs(owner: Owner) -> bytes:
    """Return `a(ayay)`: each name ends in a NUL, values do not. Sorted by name, as libostree reads
    them from a disk."""
    return array([members(string(name), value) for name, value in owner.xattrs])


def _framed(header: bytes) -> bytes:
    return _FRAME.pack(len(header), 0) + header
