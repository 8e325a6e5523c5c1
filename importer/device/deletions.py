"""What a layer of a store deletes, as its tar-split record says.

The record `overlay-layers/<id>.tar-split.gz` has the headers of the layer's tar, in JSON lines
(github.com/vbatts/tar-split, tar/storage/entry.go). It is the only place on a device that still
names a deleted file when its whiteout cannot be seen.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from itertools import islice
from typing import Callable, Iterator

_MARK = b".wh."
_OPAQUE = ".wh..wh..opq"
# Of the mark in base64, what does not depend on the bytes around it, for each of its three places.
_MARKS = [
    base64.b64encode(b"x" * before + _MARK)[-(-before * 8 // 6) : (before + 4) * 8 // 6]
    for before in range(3)
]
_HEADER = re.compile(rb"ustar[\0 ]")
_MAGIC, _BLOCK = 257, 512
_NAME, _CHECKSUM, _PREFIX = slice(0, 100), slice(148, 156), slice(345, 500)
_TYPE, _FILES = 156, b"0\0"
_PATH = b" path="
_PIECE = 1 << 20
_LONGEST_LINE = 1 << 22
# Unpacked: of some 350,000 entries. What follows is not read, nor are more lines and names.
_MOST_BYTES = 1 << 28
_MOST_LINES = 10_000
_MOST_NAMES = 100_000


def deletions(read: Callable[[], bytes]) -> Iterator[str]:
    """Yield the paths that a layer deletes, while `read` gives pieces of its record.

    A directory with "/" at its end is opaque. End early at whatever is no record: nothing is known
    of the rest then.
    """
    names = (name for line in islice(_lines(read), _MOST_LINES) for name in _names(_payload(line)))
    for parts in islice(names, _MOST_NAMES):
        *directories, name = [one for one in parts.split(b"/") if one not in {b"", b"."}] or [b""]
        if not name.startswith(_MARK) or b".." in directories:
            continue
        directory = b"".join(one + b"/" for one in directories).decode("utf-8", "surrogateescape")
        text = name.decode("utf-8", "surrogateescape")
        if text == _OPAQUE:
            yield directory or "/"
        elif not text.startswith(".wh..wh.") and len(name) > len(_MARK):
            yield directory + text[len(_MARK) :]


def _lines(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the lines that may have the mark of a whiteout."""
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    rest, left = b"", _MOST_BYTES
    try:
        for piece in iter(lambda: unpack.unconsumed_tail or read(), b""):
            data = rest + unpack.decompress(piece, _PIECE)
            left -= len(data) - len(rest)
            block, end, rest = data.rpartition(b"\n")
            if end and any(mark in block for mark in _MARKS):
                yield from (one for one in block.split(b"\n") if _is_marked(one))
            if left < 0 or len(rest) > _LONGEST_LINE:
                return
    except zlib.error:
        return


def _is_marked(line: bytes) -> bool:
    return any(mark in line for mark in _MARKS)


def _payload(line: bytes) -> bytes:
    try:
        document = json.loads(line)
        text = document.get("payload") if isinstance(document, dict) else None
        return base64.b64decode(text) if isinstance(text, str) else b""
    except (ValueError, RecursionError):
        return b""


def _names(raw: bytes) -> Iterator[bytes]:
    """Yield the names in headers, and in PAX records; b"" for what is no file's header."""
    for magic in _HEADER.finditer(raw):
        header = raw[max(magic.start() - _MAGIC, 0) : magic.start() - _MAGIC + _BLOCK]
        yield _name(header) if len(header) == _BLOCK and _is_header(header) else b""
    for line in raw.split(b"\n") if _PATH in raw else ():
        yield line.partition(_PATH)[2]


def _name(header: bytes) -> bytes:
    name, prefix = (header[part].split(b"\0")[0] for part in (_NAME, _PREFIX))
    return prefix + b"/" + name if prefix and header[_MAGIC + 5] == 0 else name


def _is_header(header: bytes) -> bool:
    try:
        told = int(header[_CHECKSUM].strip(b" \0"), 8)
    except ValueError:
        return False
    summed = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    return told == summed and header[_TYPE] in _FILES
