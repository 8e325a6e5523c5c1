"""A reader of tar-split records that shares nothing with the writer.

It does what github.com/vbatts/tar-split's assembler does (tar/asm/assemble.go): raw bytes as
they are, files by their names from a tree, each checked by size and CRC-64/ISO.
"""

import base64
import gzip
import json
import posixpath
from collections.abc import Callable


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0xD800000000000000 if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def crc64_iso(data: bytes) -> bytes:
    """Go's hash/crc64 with its ISO table, big-endian."""
    value = 2**64 - 1
    for byte in data:
        value = TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return (value ^ (2**64 - 1)).to_bytes(8)


def reassemble(record: bytes, read: Callable[[bytes], bytes]) -> bytes:
    """The tar; AssertionError where tar-split would give up."""
    names: set[str] = set()
    parts = []
    for number, line in enumerate(gzip.decompress(record).splitlines()):
        entry = json.loads(line)
        assert entry["position"] == number
        if entry["type"] == 2:
            parts.append(base64.b64decode(entry["payload"]))
            continue
        name = entry["name"].encode()
        clean = posixpath.normpath(name.decode("latin-1"))
        assert clean not in names, f"tar-split refuses a second {clean}"
        names.add(clean)
        content = read(name)
        assert len(content) == entry["size"], f"{name!r}: size"
        assert crc64_iso(content) == base64.b64decode(entry["payload"]), f"{name!r}: CRC"
        parts.append(content)
    return b"".join(parts)
