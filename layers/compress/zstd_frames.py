"""Find the ends of zstd frames: RFC 8878, 3.1.

zstandard's reader does not tell a stream that ended from a stream that was cut short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.chunks import Buffer
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.chunks import Chunks

MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"
_ENOUGH = 1 << 18  # the least bytes of a piece, but for the last one: blocks are small
_RLE, _RESERVED = 1, 3


def is_frame(head: bytes) -> bool:
    """Return whether a zstd frame begins with these bytes: a data frame or a skippable one (RFC
    8878, 3.1.2)."""
    return head[:4] == MAGIC or (head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F)


def whole_frames(chunks: Chunks) -> Chunks:
    """Yield the bytes unchanged. Raise LayerError if they are not frames, or end within a frame."""
    pieces: list[bytes] = []
    size = 0
    for piece in _pieces(Buffer(chunks)):
        pieces.append(piece)
        size += len(piece)
        if size >= _ENOUGH:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def _pieces(buffer: Buffer) -> Iterator[bytes]:
    while magic := buffer.take(4):
        if not is_frame(magic):
            raise LayerError("zstd: the data that follows a frame is not another frame")
        yield magic
        yield from _frame(buffer) if magic == MAGIC else _skippable(buffer)


def _skippable(buffer: Buffer) -> Iterator[bytes]:
    length = _taken(buffer, 4)
    yield length
    yield from _exactly(buffer, int.from_bytes(length, "little"))


def _frame(buffer: Buffer) -> Iterator[bytes]:
    descriptor = _taken(buffer, 1)
    yield descriptor
    flags = descriptor[0]
    single = flags >> 5 & 1
    content_size = (single, 2, 4, 8)[flags >> 6]
    yield _taken(buffer, 1 - single + (0, 1, 2, 4)[flags & 3] + content_size)
    last = False
    while not last:
        header = _taken(buffer, 3)
        yield header
        number = int.from_bytes(header, "little")
        last, kind, size = bool(number & 1), number >> 1 & 3, number >> 3
        if kind == _RESERVED:
            raise LayerError("zstd: a block of the reserved type")
        yield from _exactly(buffer, 1 if kind == _RLE else size)
    if flags & 4:
        yield _taken(buffer, 4)  # the checksum


def _taken(buffer: Buffer, count: int) -> bytes:
    data = buffer.take(count)
    if len(data) < count:
        raise _cut_short()
    return data


def _exactly(buffer: Buffer, count: int) -> Iterator[bytes]:
    for piece in buffer.pieces(count):
        count -= len(piece)
        yield piece
    if count:
        raise _cut_short()


def _cut_short() -> LayerError:
    return LayerError("zstd: the data ends within a frame")
