"""Write a tar-split record: the bytes of a layer's tar that are in no file, so that the tar can be
made again.

JSON lines in gzip, as github.com/vbatts/tar-split writes them (tar/storage/entry.go): type 2 holds
raw bytes of the tar, type 1 stands for a file's content, with its CRC-64. tar-split's own writer
also has a line for each entry without content. Its reader skips these lines, but refuses two of one
name, so this record has none.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from typing import TYPE_CHECKING

from fastcrc import crc64

from layers.errors import LayerError
from layers.path import normalized
from layers.tarsplit.record_reader import FileContent, segments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.chunks import Chunks

# The most raw bytes in a JSON line.
_RAW_LIMIT = 1 << 20
_FLUSH = 1 << 16
# The record is made in memory. Two million entries need a fifth of this. Only content shadowed by
# a later entry makes it larger.
MAX_RECORD = 1 << 30
# The same tar gives the same record on any machine: zlib's output has been the same for decades,
# while isal's depends on the processor's instruction set, and the header has no time or file name.
# Level 3 takes half of level 6's time, for a fifth more bytes.
_LEVEL = 3
# The characters that JSON does not escape: printable ASCII but for the quote and the backslash.
_PLAIN = re.compile(rb"[ !#-\[\]-~]*")
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


class TarSplit:
    """Write the record of a layer's tar while the tar is read; a `layers.tar.recorder.Recorder`."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._packed: list[bytes] = [_GZIP_HEADER]
        self._packed_size = 0
        self._lines: list[bytes] = []
        self._pending = 0
        self._crc32 = 0
        self._length = 0
        self._raw: list[bytes] = []
        self._raw_size = 0
        self._position = 0
        self._file: tuple[bytes, int] = (b"", 0)
        self._crc64 = 0
        self.files = 0  # the number of recorded files

    def raw(self, data: bytes) -> None:
        """Record bytes of the tar that are no file's content."""
        self._raw.append(data)
        self._raw_size += len(data)
        if self._raw_size > _RAW_LIMIT:
            self._cut_raw()

    def begin_file(self, path: bytes, size: int) -> None:
        """Begin a file of `size` bytes. Nothing is recorded of an empty file."""
        self._file, self._crc64 = (path, size), 0

    def content(self, data: bytes) -> None:
        """Add some of the file's content to its checksum."""
        self._crc64 = crc64.go_iso(data, self._crc64)

    def end_file(self) -> None:
        """Record the file, all of whose content was given."""
        path, size = self._file
        if size:
            self.add_file(normalized(path), size, self._crc64)

    def add_file(self, path: bytes, size: int, crc: int) -> None:
        """Record a file by its normalized path, its size in bytes and its content's CRC-64."""
        self._end_raw()
        payload = binascii.b2a_base64(crc.to_bytes(8), newline=False)
        name = _json_string(path)
        self._line(b'{"type":1,"name":%b,"size":%d,"payload":"%b"' % (name, size, payload))
        self.files += 1

    def finish(self) -> bytes:
        """Return the whole record, gzipped."""
        self._end_raw()
        self._flush()
        self._packed.append(self._deflate.flush())
        trailer = self._crc32.to_bytes(4, "little") + (self._length % 2**32).to_bytes(4, "little")
        return b"".join([*self._packed, trailer])

    def _cut_raw(self) -> None:
        """Write lines of the limit's size, and hold back the rest, so that the record does not
        depend on the pieces in which bytes arrive."""
        data = b"".join(self._raw)
        rest = len(data) % _RAW_LIMIT
        for at in range(0, len(data) - rest, _RAW_LIMIT):
            self._raw_line(data[at : at + _RAW_LIMIT])
        self._raw, self._raw_size = [data[len(data) - rest :]], rest

    def _end_raw(self) -> None:
        if self._raw_size:
            self._raw_line(b"".join(self._raw))
            self._raw, self._raw_size = [], 0

    def _raw_line(self, data: bytes) -> None:
        payload = binascii.b2a_base64(data, newline=False)
        self._line(b'{"type":2,"payload":"%b"' % payload)

    def _line(self, entry: bytes) -> None:
        line = b'%b,"position":%d}\n' % (entry, self._position)
        self._position += 1
        self._lines.append(line)
        self._pending += len(line)
        if self._pending > _FLUSH:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._lines)
        self._lines, self._pending = [], 0
        self._crc32 = zlib.crc32(data, self._crc32)
        self._length += len(data)
        self._packed.append(self._deflate.compress(data))
        self._packed_size += len(self._packed[-1])
        if self._packed_size > MAX_RECORD:
            raise LayerError(
                f"the layer's tar-split record would have more than {MAX_RECORD} bytes",
                hint="too much of its content is in sparse files, or in files that nobody will see",
            )


def with_contents(record: bytes, contents: Mapping[int, Chunks]) -> bytes:
    """Return the record with the contents of some files in it. The keys of `contents` count the
    file lines.

    Where a tar has a path twice, only the last content is in the tree.
    """
    copy = TarSplit()
    number = -1
    for part in segments(iter([record])):
        if not isinstance(part, FileContent):
            copy.raw(part)
            continue
        number += 1
        if number in contents:
            for chunk in contents[number]:
                copy.raw(chunk)
        else:
            copy.add_file(part.path, part.size, part.crc or 0)
    return copy.finish()


def _json_string(path: bytes) -> bytes:
    """Return the JSON of a path. It is UTF-8, since the tree refuses other paths."""
    if _PLAIN.fullmatch(path):
        return b'"%b"' % path
    return json.dumps(path.decode(), ensure_ascii=False).encode()
