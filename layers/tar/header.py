"""The block of 512 bytes in front of every tar entry.

POSIX pax(1), "ustar Interchange Format", with GNU's and star's variations as GNU tar's manual
("Basic Tar Format") and libarchive's tar(5) describe them.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple
from zlib import adler32

from layers.entry import Kind, Owner
from layers.errors import LayerError

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

# name mode uid gid size mtime chksum typeflag linkname magic+version uname gname major minor rest
_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s167s")
_POSIX_MAGIC = b"ustar\x00"
GNU_MAGIC = b"ustar  \x00"
_FILE_FLAGS = (b"0", b"7", b"S")
_KINDS = {kind.value: kind for kind in Kind}
# (uid_t) -1 means "leave it" to chown(2), so it cannot be an owner.
_MAX_ID = 2**32 - 2


class Header(NamedTuple):
    """The fields of a header block, before extended headers change them. Sparse files need the
    whole `block`."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    typeflag: bytes
    link: bytes
    major: int
    minor: int
    block: bytes


def parse_header(block: bytes) -> Header:
    """Parse a block of 512 bytes. Raise LayerError if the checksum or a number is wrong."""
    (name, mode, uid, gid, size, mtime, checksum, flag, link, magic, _, _, major, minor, rest) = (
        _FIELDS.unpack(block)
    )
    _check_sum(block, checksum)
    number(mtime)
    devices = flag in b"34"
    return Header(
        _prefix(magic, rest) + name.partition(b"\0")[0],
        number(mode),
        number(uid),
        number(gid),
        number(size),
        flag,
        link.partition(b"\0")[0],
        number(major) if devices else 0,
        number(minor) if devices else 0,
        block,
    )


def _check_sum(block: bytes, field: bytes) -> None:
    """Raise LayerError if the checksum is wrong. It is the sum of all bytes, with blanks in the
    place of the checksum; old tars summed signed bytes."""
    stated = number(field)
    unsigned = _sum(block) - sum(field) + 8 * 0x20
    if stated == unsigned:
        return
    rest = block[:148] + block[156:]
    signed = unsigned - 256 * sum(byte > 127 for byte in rest)
    if stated != signed:
        raise LayerError(f"tar header checksum is {stated:o}, its content's is {unsigned:o}")


def _sum(block: bytes) -> int:
    """Return the sum of 512 bytes, in a third of sum()'s time. Adler-32's lower half is the sum of
    the bytes and 1, modulo 65521 (RFC 1950, 8.2), which 256 bytes cannot reach."""
    half = BLOCK // 2
    return (adler32(block[:half]) & 0xFFFF) + (adler32(block[half:]) & 0xFFFF) - 2


def _prefix(magic: bytes, rest: bytes) -> bytes:
    """Return the leading part of a long name: POSIX has 155 bytes for it, star 131, GNU none."""
    if rest[0] == 0:
        return b""
    if magic[:6] != _POSIX_MAGIC:
        return _mistaken_prefix(rest) if magic == GNU_MAGIC else b""
    room = 131 if rest[163:167] == b"tar\0" else 155
    return rest[:room].partition(b"\0")[0] + b"/"


def _mistaken_prefix(rest: bytes) -> bytes:
    """Return the prefix that Go before 1.8 wrote into some GNU headers, where two times belong.

    All container tools are written in Go, whose archive/tar still reads such names (reader.go,
    readHeader, `hdr.AccessTime`). Without the prefix files would be misplaced. Bytes that are
    neither numbers nor ASCII are ignored, as by Go.
    """
    try:
        number(rest[:12])
        number(rest[12:24])
    except LayerError:
        prefix = rest[:155].partition(b"\0")[0]
        return prefix + b"/" if prefix.isascii() else b""
    return b""


@lru_cache(maxsize=4096)
def number(field: bytes) -> int:
    """Return a numeric field's value: octal text, or base-256 where the first bit is set (GNU,
    star).

    Raise LayerError if the field is neither, or the number does not fit into 63 bits.
    """
    if field[0] & 0x80:
        return _base256(field)
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise LayerError(f"tar header has {field!r} where a number belongs")
    return int(digits, 8)


def _base256(field: bytes) -> int:
    """Return the two's complement of all bits but the first: GNU tar's tar.h, `OLDGNU_FORMAT`."""
    value = int.from_bytes(field) & ((1 << (8 * len(field) - 1)) - 1)
    if field[0] & 0x40:
        value -= 1 << (8 * len(field) - 1)
    if not -(2**63) <= value < 2**63:
        raise LayerError("tar header has a number of more than 63 bits")
    return value


def kind_of(header: Header, path: bytes) -> Kind:
    """Return what the entry makes. Raise LayerError if its type is not known."""
    if header.typeflag == b"\0":  # v7 had no flag for directories, but ended their names in "/"
        return Kind.DIRECTORY if path.endswith(b"/") else Kind.FILE
    if header.typeflag in _FILE_FLAGS:
        return Kind.FILE
    kind = _KINDS.get(header.typeflag)
    if kind is None:
        raise LayerError(f"tar entry type {header.typeflag!r} is not known")
    return kind


@lru_cache(maxsize=4096)
def plain_owner(mode: int, uid: int, gid: int) -> Owner:
    """Return the owner without xattrs. Raise LayerError if Linux can have no such owner."""
    if mode < 0:
        raise LayerError(f"file mode {mode}")
    if not 0 <= uid <= _MAX_ID or not 0 <= gid <= _MAX_ID:
        raise LayerError(f"owner {uid}:{gid} is none that Linux can have")
    # Some writers put the file type's bits into the mode as well; tar has its own flag for it.
    return Owner(mode & 0o7777, uid, gid)
