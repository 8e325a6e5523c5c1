"""Write the objects of an ostree repo: the bytes that checksums cover, and the bytes in files.

Source: ostree's manual, "Anatomy of an OSTree repository", and src/libostree/ostree-core.h for the
types. libostree makes the same bytes, but is slow where there are many objects.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from layers.ostree import gvariant
from layers.ostree.gvariant import array, members, string, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """A content object: a file or a symlink.

    The checksum covers `header` and the content. A repo stores other fields in the header's place,
    by its mode.
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
    return _content(owner._replace(mode=0o777), SYMLINK, target) if target else _file(owner)


@lru_cache(maxsize=4096)
def _file(owner: Owner) -> Content:
    return _content(owner, FILE, b"")


def _content(owner: Owner, kind: int, target: bytes) -> Content:
    """Make all headers of one object.

    `header` is a be32 size, 4 zero bytes, then `(uuuusa(ayay))`: uid, gid, mode, rdev, target,
    xattrs. `zheader`, `(tuuuusa(ayay))`, begins with the content's size, which is not known yet.
    Source: ostree-core.c, `_ostree_file_header_new` and `_ostree_zlib_file_header_new`.
    """
    mode = kind | owner.mode
    variable = string(target), _xattrs(owner)
    header = _HEADER.pack(owner.uid, owner.gid, mode, 0)
    zheader = _ZHEADER.pack(0, owner.uid, owner.gid, mode, 0)
    return Content(
        _framed(members(*variable, fixed=header)),
        mode,
        _metadata(owner, mode),
        _framed(members(*variable, fixed=zheader)),
        target,
    )


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
    """Parse a dirtree: the inverse of `dirtree`. Raise ValueError if the data is malformed."""
    files, directories = gvariant.parts(data, 2)
    pairs = (gvariant.parts(file, 2) for file in gvariant.elements(files))
    triples = (gvariant.parts(directory, 3) for directory in gvariant.elements(directories))
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
    """Return `a(ayay)`, sorted by name, as libostree reads xattrs from a disk. Each name ends in a
    NUL; values do not."""
    return array([members(string(name), value) for name, value in owner.xattrs])


def _framed(header: bytes) -> bytes:
    return _FRAME.pack(len(header), 0) + header


class CommitObject(NamedTuple):
    """The content of a commit object. `time` is in seconds since 1970; `parent` may be ""."""

    root: Stored
    metadata: Sequence[tuple[str, str]] = ()
    subject: str = ""
    body: str = ""
    time: int = 0
    parent: str = ""


def commit_bytes(commit: CommitObject) -> bytes:
    """Return a commit object: `OSTREE_COMMIT_GVARIANT_FORMAT`, `(a{sv}aya(say)sstayay)`. There are
    no related objects, of type `a(say)`."""
    subject, body = string(commit.subject.encode()), string(commit.body.encode())
    before = (
        gvariant.text_entries(commit.metadata),
        bytes.fromhex(commit.parent),
        b"",
        subject,
        body,
    )
    time = gvariant.padding(sum(map(len, before))) + commit.time.to_bytes(8)
    contents, meta = map(bytes.fromhex, commit.root)
    return members(*before, time + contents, meta)


def read_commit(data: bytes) -> CommitObject:
    """Parse a commit whose metadata is text: the inverse of `commit_bytes`. Raise ValueError for
    any other data."""
    *before, contents, meta = gvariant.parts(data, 7)
    metadata, parent, _, subject, body = before
    time, contents = contents[:-32][-8:], contents[-32:]
    commit = CommitObject(
        Stored(contents.hex(), meta.hex()),
        tuple(gvariant.read_text_entries(metadata)),
        text(subject).decode(),
        text(body).decode(),
        int.from_bytes(time),
        parent.hex(),
    )
    if commit_bytes(commit) != data:
        raise ValueError("a commit has more than was read")
    return commit
