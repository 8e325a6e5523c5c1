"""A raw tar writer: it writes what it is told to, right or wrong.

Python's `tarfile` would neither write the odd cases nor be an independent witness.
"""

from collections.abc import Iterable
from dataclasses import replace

from tests.tools.entry import Entry, Sparse, opaque, whiteout
from tests.tools.header import BLOCK, FIELDS, fits_octal, header
from tests.tools.pax import Record, pax_global, pax_header
from tests.tools.sparse import (
    gnu_extension,
    gnu_extra,
    pad,
    sparse_data,
    sparse_records,
    stored_name,
)

__all__ = ["Entry", "Sparse", "opaque", "pax_global", "tar_bytes", "tar_member", "whiteout"]

#: Two zero blocks end an archive.
TRAILER = bytes(2 * BLOCK)
NAME_LENGTH = 100


def tar_bytes(entries: Iterable[Entry], *, trailer: bool = True) -> bytes:
    """The archive of these members, with or without its end marker."""
    body = b"".join(tar_member(entry) for entry in entries)
    return body + TRAILER if trailer else body


def tar_member(entry: Entry) -> bytes:
    """All blocks of one member: its extended headers, its header, its data."""
    parts = _gnu_long(entry)
    records = [*_records(entry), *entry.records]
    if records:
        parts.append(tar_member(pax_header(entry, records)))
    parts.append(_header_blocks(entry))
    data = _data(entry)
    parts.append(data if entry.unpadded else pad(data))
    return b"".join(parts)


def _data(entry: Entry) -> bytes:
    return sparse_data(entry.sparse) if entry.sparse else entry.content


def _header_blocks(entry: Entry) -> bytes:
    size, sparse = len(_data(entry)), entry.sparse
    if sparse and sparse.style == "gnu":
        gnu = replace(entry, format="gnu")
        return header(gnu, size, gnu_extra(sparse)) + gnu_extension(sparse)
    if sparse and sparse.style in ("0.1", "1.0"):
        return header(replace(entry, path=stored_name(entry)), size)
    return header(entry, size)


def _gnu_long(entry: Entry) -> list[bytes]:
    """GNU's 'K' (link target) and 'L' (name) members, whose data ends in a NUL."""
    if entry.gnu_long is False:
        return []
    parts = []
    for flag, value in (("K", entry.link), ("L", entry.name)):
        too_long = len(value) > NAME_LENGTH and entry.format == "gnu"
        if too_long or (entry.gnu_long and value):
            long = Entry(b"././@LongLink", flag, content=value + b"\x00", format="gnu")
            parts.append(tar_member(long))
    return parts


def _records(entry: Entry) -> list[Record]:
    xattrs = [(b"SCHILY.xattr." + name, value) for name, value in entry.xattrs.items()]
    if entry.format != "pax":
        return xattrs
    return [*_names(entry), *_numbers(entry), *xattrs, *sparse_records(entry)]


def _names(entry: Entry) -> list[Record]:
    """Names which the header cannot hold, or which are not ASCII: as Go's archive/tar does."""
    if entry.gnu_long:
        return []
    named_by_sparse = entry.sparse and entry.sparse.style in ("0.1", "1.0")
    pairs = [(b"linkpath", entry.link)]
    if not named_by_sparse:
        pairs.insert(0, (b"path", entry.name))
    return [pair for pair in pairs if len(pair[1]) > NAME_LENGTH or not pair[1].isascii()]


def _numbers(entry: Entry) -> list[Record]:
    if entry.base256:
        return []
    values = {"uid": entry.uid, "gid": entry.gid, "size": len(_data(entry))}
    records = [
        (name.encode(), b"%d" % value)
        for name, value in values.items()
        if not fits_octal(value, FIELDS[name][1])
    ]
    if entry.mtime != int(entry.mtime) or not fits_octal(int(entry.mtime), 12):
        records.append((b"mtime", repr(entry.mtime).encode()))
    return records
