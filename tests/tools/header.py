"""The 512-byte header block of a tar member."""

from tests.tools.entry import Entry

BLOCK = 512

#: Offset and length of each field: POSIX "ustar Header Block".
FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "chksum": (148, 8),
    "typeflag": (156, 1),
    "linkname": (157, 100),
    "magic": (257, 8),
    "uname": (265, 32),
    "gname": (297, 32),
    "devmajor": (329, 8),
    "devminor": (337, 8),
    "prefix": (345, 155),
}
#: GNU keeps "magic" and "version" in one field of another value.
MAGIC = {"pax": b"ustar\x0000", "ustar": b"ustar\x0000", "gnu": b"ustar  \x00"}


def octal(value: int, length: int) -> bytes:
    """Digits and a final NUL."""
    return b"%0*o\x00" % (length - 1, value)


def base256(value: int, length: int) -> bytes:
    """GNU's form: top bit set, then the number big-endian in two's complement."""
    raw = value.to_bytes(length, "big", signed=True)
    return bytes([raw[0] | 0x80]) + raw[1:]


def fits_octal(value: int, length: int) -> bool:
    """Whether the field holds the number as octal digits."""
    return 0 <= value < 1 << 3 * (length - 1)


def number(entry: Entry, name: str, value: int) -> bytes:
    """A numeric field: base 256 where asked for or, in GNU format, where octal is too short."""
    length = FIELDS[name][1]
    fits = fits_octal(value, length)
    if entry.base256 or (entry.format == "gnu" and not fits):
        return base256(value, length)
    if not fits and entry.format == "ustar":
        raise ValueError(f"{entry.path!r}: {name} {value} does not fit a ustar header")
    return octal(value if fits else 0, length)


def split_name(name: bytes) -> tuple[bytes, bytes]:
    """The name as (prefix, name) of ustar; ('', name) where it is short or cannot be split."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, 156)
    if cut <= 0 or len(name) - cut - 1 > 100 or cut == len(name) - 1:
        return b"", name
    return name[:cut], name[cut + 1 :]


def names(entry: Entry) -> dict[str, bytes]:
    """The textual fields."""
    splits = entry.format == "ustar"
    prefix, name = split_name(entry.name) if splits else (b"", entry.name)
    if splits and (len(name) > 100 or len(entry.link) > 100):
        raise ValueError(f"{entry.path!r}: too long for a ustar header")
    return {
        "name": name[:100],
        "prefix": prefix,
        "linkname": entry.link[:100],
        "uname": entry.uname[:31],
        "gname": entry.gname[:31],
        "typeflag": entry.typeflag,
        "magic": MAGIC[entry.format],
    }


def numbers(entry: Entry, size: int) -> dict[str, bytes]:
    """The numeric fields."""
    claimed = size if entry.claimed_size is None else entry.claimed_size
    values = {
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        "size": claimed,
        "mtime": int(entry.mtime // 1),
        "devmajor": entry.device[0],
        "devminor": entry.device[1],
    }
    return {name: number(entry, name, value) for name, value in values.items()}


def checksum(block: bytes | bytearray) -> int:
    """The sum of the header's bytes, its own field taken as eight spaces."""
    return sum(block[:148]) + 8 * 32 + sum(block[156:BLOCK])


def header(entry: Entry, size: int, extra: bytes = b"") -> bytes:
    """The block; `extra` is laid over it from offset 386, where old GNU sparse maps stand."""
    block = bytearray(BLOCK)
    block[386 : 386 + len(extra)] = extra
    for name, value in (names(entry) | numbers(entry, size) | dict(entry.raw)).items():
        start, length = FIELDS[name]
        if len(value) > length:
            raise ValueError(f"header field {name} holds {length} bytes, not {len(value)}")
        block[start : start + len(value)] = value
    if "chksum" not in entry.raw:
        block[148:156] = b"%06o\x00 " % (checksum(block) + entry.bad_checksum)
    return bytes(block)
