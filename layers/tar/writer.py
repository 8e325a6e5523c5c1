"""Write a tree's files as the members of a tar: the same bytes for the same tree.

Format: POSIX.1-2017 pax(1), "ustar Interchange Format" and "pax Extended Header"; xattrs as
`SCHILY.xattr.NAME`, which Go's archive/tar, containers-storage and GNU tar read.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING

from layers.entry import Kind

if TYPE_CHECKING:
    from layers.entry import Entry

_BLOCK = 512
END = bytes(2 * _BLOCK)  # an empty tar has nothing else
_NAME_SIZE = 100
_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777
_PAX = b"x"
_XATTR = b"SCHILY.xattr."
_QUOTED = rb"[^0-9A-Za-z._-]"
# GNU tar's headers for long names, each with a NUL at its end ("Basic Tar Format").
_GNU = {b"path": b"L", b"linkpath": b"K"}


def header(entry: Entry, *, by_lines: bool = False) -> bytes:
    """Return the blocks before the entry's content. Times are zero, since ostree keeps none.

    `by_lines` is for tar-rs, with which bootc reads layers: a newline in a PAX record ends the
    record there, and a key that is not UTF-8 is an error (src/pax.rs, 0.4.46). A path or link
    target with a newline then has a GNU header, and an xattr the form of libarchive.
    """
    path = entry.path + b"/" if entry.kind is Kind.DIRECTORY else entry.path
    extended, records = b"", _records(entry, path)
    if by_lines:
        names = [record for record in records if record[0] in _GNU and b"\n" in record[1]]
        extended = b"".join(_extended(_GNU[key], name + b"\0") for key, name in names)
        records = [_line(*record) for record in records if record not in names]
    if records:
        extended += _extended(_PAX, b"".join(_record(*record) for record in records))
    owner = entry.owner
    return extended + _ustar(
        path, entry.kind.value, owner.mode, owner.uid, owner.gid, entry.size, entry.link
    )


def fits_line(name: bytes, value: bytes) -> bool:
    """Return whether tar-rs reads a PAX record of this xattr as all others do."""
    return name.isascii() and b"\n" not in name + value


def _line(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a record that tar-rs reads. An xattr that does not fit has its name quoted as in a
    URL, and its value in base64 (libarchive's tar(5), "LIBARCHIVE.xattr"): Go's readers and
    composefs-rs pass over it."""
    if fits_line(key, value):
        return key, value
    name = re.sub(_QUOTED, lambda match: b"%%%02X" % match[0][0], key.removeprefix(_XATTR))
    return b"LIBARCHIVE.xattr." + name, b64encode(value)


def _extended(kind: bytes, data: bytes) -> bytes:
    return _ustar(b"PaxHeader", kind, size=len(data)) + data + padding(len(data))


def padding(size: int) -> bytes:
    """Return the zeros between a content of `size` bytes and the next block."""
    return bytes(-size % _BLOCK)


def _records(entry: Entry, path: bytes) -> list[tuple[bytes, bytes]]:
    """Return PAX records of the values that do not fit into the ustar header."""
    records = [
        (key, text)
        for key, text in ((b"path", path), (b"linkpath", entry.link))
        if len(text) > _NAME_SIZE or not text.isascii()
    ]
    limits = (
        (b"uid", entry.owner.uid, _MAX_ID),
        (b"gid", entry.owner.gid, _MAX_ID),
        (b"size", entry.size, _MAX_SIZE),
    )
    records.extend((key, b"%d" % value) for key, value, most in limits if value > most)
    records.extend((_XATTR + name, value) for name, value in entry.owner.xattrs)
    return records


def _record(key: bytes, value: bytes) -> bytes:
    """Return `LENGTH KEY=VALUE` and a newline. The length counts its own digits."""
    rest = b" %b=%b\n" % (key, value)
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) > len(str(len(rest))):
        length += 1
    return b"%d%b" % (length, rest)


def _ustar(
    name: bytes,
    kind: bytes,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    link: bytes = b"",
) -> bytes:
    fields = [
        name[:_NAME_SIZE].ljust(_NAME_SIZE, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % (uid if uid <= _MAX_ID else 0),
        b"%07o\0" % (gid if gid <= _MAX_ID else 0),
        b"%011o\0" % (size if size <= _MAX_SIZE else 0),
        b"%011o\0" % 0,
        b" " * 8,
        kind,
        link[:_NAME_SIZE].ljust(_NAME_SIZE, b"\0"),
        b"ustar\x0000",
    ]
    block = b"".join(fields).ljust(_BLOCK, b"\0")
    checksum = b"%06o\0 " % sum(block)
    return block[:148] + checksum + block[156:]
