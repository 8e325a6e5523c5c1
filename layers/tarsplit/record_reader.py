"""Read a tar-split record, and make the tar again that it describes.

Source of the format: github.com/vbatts/tar-split tar/storage/entry.go and tar/asm, as
containers-storage (`overlay-layers/<id>.tar-split.gz`) and Docker
(`layerdb/sha256/<chainID>/tar-split.json.gz`) keep it. `layers.tarsplit.record_writer` writes it.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from fastcrc import crc64

from layers.compress.decompress import gunzipped
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from layers.chunks import Chunks, OpenChunks

_CONTENT = 1
_RAW = 2
_CRC_SIZE = 8
# Ours have at most 1 MiB of raw bytes. tar-split's have an entry's headers, and older ones all
# that follows the last entry.
_LONGEST_LINE = 1 << 26
# The most bytes of lines for each byte of the tar, and for a tar of any size.
_MOST_LINES = 16
_LEAST_LINES = 1 << 20
# An entry has two lines, and a header of 512 raw bytes; each cut of a longer text is far longer.
_RAW_OF_A_LINE = 128
_FIRST_LINES = 16


class FileContent(NamedTuple):
    """A file's content within the tar: its `path`, `size` in bytes, and CRC-64/ISO, None if
    unknown."""

    path: bytes
    size: int
    crc: int | None


type Segment = bytes | FileContent


def segments(record: Chunks, size: int | None = None) -> Iterator[Segment]:
    """Yield the tar's parts in their order, from the gzipped record.

    Raise LayerError if the record is malformed, or has far more lines than a tar of `size` bytes
    needs. The lines' `position` is ignored, as by tar-split.
    """
    lines = gunzipped(record)
    return described(lines if size is None else _bounded(lines, size))


def _bounded(lines: Chunks, size: int) -> Chunks:
    """Yield the lines. Raise LayerError if they are too long: a line is base64 of a header of 512
    bytes at least, or a name, whose characters may be escaped by six each."""
    most = size * _MOST_LINES + _LEAST_LINES
    for chunk in lines:
        most -= len(chunk)
        if most < 0:
            raise LayerError(f"the tar-split record is too long for a tar of {size} bytes")
        yield chunk


def described(lines: Chunks) -> Iterator[Segment]:
    """Yield the tar's parts from the record's unpacked lines. Raise LayerError if there are far
    more lines than the tar has headers."""
    left = _FIRST_LINES * _RAW_OF_A_LINE
    for line in _lines(lines):
        left -= _RAW_OF_A_LINE
        if left < 0:
            raise LayerError("the tar-split record has more lines than its tar has headers")
        try:
            segment = _segment(json.loads(line)) if line else None
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise LayerError("the tar-split record has a line that is none") from None
        if segment:
            left += len(segment) if isinstance(segment, bytes) else 0
            yield segment


def _lines(chunks: Chunks) -> Iterator[bytes]:
    """Yield lines without their newlines. A line may be longer than a chunk, up to a bound."""
    begun: list[bytes] = []
    size = 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > _LONGEST_LINE:
            raise LayerError(f"the tar-split record has a line of over {_LONGEST_LINE} bytes")
        if others:
            size = len(others[-1])
            yield from (b"".join(begun), *others[:-1])
            begun = [others[-1]]
    yield from filter(None, [b"".join(begun)])


def _segment(line: dict[str, Any]) -> Segment | None:
    """Return the part that a line describes. Return None for an entry without content, whose header
    is raw bytes of another line."""
    if line["type"] == _RAW:
        return binascii.a2b_base64(line["payload"], strict_mode=True)
    if line["type"] != _CONTENT:
        raise ValueError
    size = int(line.get("size") or 0)
    if size < 0:
        raise ValueError
    return FileContent(_path(line), size, _crc(line.get("payload"))) if size else None


def _path(line: dict[str, Any]) -> bytes:
    raw = line.get("name_raw")
    return base64.b64decode(raw, validate=True) if raw else str(line["name"]).encode()


def _crc(payload: str | None) -> int | None:
    data = base64.b64decode(payload, validate=True) if payload else b""
    if data and len(data) != _CRC_SIZE:
        raise ValueError
    return int.from_bytes(data) if data else None


def tar_size(parts: Iterable[Segment]) -> int:
    """Return the size in bytes of the tar that these parts make."""
    return sum(part.size if isinstance(part, FileContent) else len(part) for part in parts)


def assembled(parts: Iterable[Segment], read: Callable[[FileContent], Chunks]) -> OpenChunks:
    """Yield the tar's bytes. Raise LayerError, with the path, for a file whose content has changed.

    `read` gives a file's whole content. Only the diffID proves the rest of the tar.
    """
    for part in parts:
        if isinstance(part, FileContent):
            try:
                yield from _checked(part, read(part))
            except LayerError as error:
                raise error.within(path=part.path) from None
        else:
            yield part


def _checked(part: FileContent, chunks: Chunks) -> Chunks:
    crc = 0
    for chunk in chunks:
        crc = crc64.go_iso(chunk, crc)
        yield chunk
    if part.crc is not None and crc != part.crc:
        raise LayerError(
            "the file's content is not what it was when the layer was unpacked",
            hint="the store is damaged; a new pull mends it",
        )
