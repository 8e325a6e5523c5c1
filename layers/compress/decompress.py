"""Turn a layer's blob into its tar: gzip, zstd or plain."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from isal import igzip_lib

from layers.chunks import Buffer
from layers.errors import LayerError
from layers.oci.media_type import Compression, may_be_unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.chunks import Chunks

CHUNK = 1 << 20
# Two chunks: a member's header can begin at the end of one.
_MAX_HEADER = 2 * CHUNK
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # isal's stub errs
# A gzip member's header: RFC 1952, 2.3.
_GZIP_MAGIC = b"\x1f\x8b"
_FIXED = 10
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16
# The zstd frames are those of RFC 8878, 3.1.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"
_ENOUGH = 1 << 18  # the least bytes of a piece, but for the last one: blocks are small
_RLE, _RESERVED = 1, 3
# zstd's own limit for untrusted input (ZSTD_WINDOWLOG_LIMIT_DEFAULT is 27).
_MAX_WINDOW = 1 << 27


def decompressed(chunks: Chunks, media_type: str, compression: Compression) -> Chunks:
    """Yield the tar's bytes in pieces of at most 1 MiB. Raise LayerError if the blob's first bytes
    are of another compression than its media type, or the blob is damaged.

    Bytes behind the last member or frame are an error: no byte of a blob is left unread.
    """
    head = next(chunks, b"")
    while 0 < len(head) < 4 and (more := next(chunks, b"")):
        head += more
    actual = compression_of(head)
    plain = compression is Compression.GZIP and may_be_unpacked(media_type)
    if actual is not compression and not (actual is Compression.NONE and plain):
        raise LayerError(
            f"the layer's media type is {media_type}, but its first bytes say {actual.name.lower()}"
        )
    return _READERS[actual](chain([head] if head else [], chunks))


def compression_of(head: bytes) -> Compression:
    """Return the compression of a blob that begins with these bytes, four at least."""
    if head.startswith(_GZIP_MAGIC):
        return Compression.GZIP
    if _is_frame(head):
        return Compression.ZSTD
    return Compression.NONE


def _plain(chunks: Chunks) -> Chunks:
    for chunk in chunks:
        yield from (chunk[at : at + CHUNK] for at in range(0, len(chunk), CHUNK))


def gunzipped(chunks: Chunks) -> Chunks:
    """Yield the content of every gzip member, as gzip and Go do (RFC 1952, 2.2). Raise LayerError
    if one is damaged or cut short."""
    data = b""
    while data := data or next(chunks, b""):
        # isal reports a wrong checksum, or invalid data, if a header with optional fields arrives
        # in pieces.
        while not _has_whole_header(data) and (more := next(chunks, b"")):
            data += more
            if len(data) > _MAX_HEADER:
                raise LayerError("gzip: a member's header does not end")
        if not data.startswith(_GZIP_MAGIC):
            raise LayerError("gzip: the data that follows a member is not another member")
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        yield from _inflate(member, data, chunks)
        data = member.unused_data


def _inflate(member: igzip_lib.IgzipDecompressor, data: bytes, chunks: Chunks) -> Chunks:
    try:
        while True:
            if piece := member.decompress(data, CHUNK):
                yield piece
            if member.eof:
                return
            data = next(chunks, b"") if member.needs_input else b""
            if not data and member.needs_input:
                raise LayerError("gzip: the data ends within a member")
    except _IsalError as error:
        raise LayerError(f"gzip: {error}") from None


def _has_whole_header(data: bytes) -> bool:
    """Return whether the gzip member at the start of `data` has its whole header in `data`."""
    if len(data) < _FIXED:
        return False
    flags, at = data[3], _FIXED
    if flags & _FEXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for text in (_FNAME, _FCOMMENT):
        if flags & text:
            end = data.find(b"\0", at)
            if end < 0:
                return False
            at = end + 1
    return at + (2 if flags & _FHCRC else 0) <= len(data)


class _ChunkFile:
    """The file object that zstandard reads from, made of chunks."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        data = self._rest or next(self._chunks, b"")
        if size < 0:
            size = len(data)
        self._rest = data[size:]
        return data[:size]


def _unzstd(chunks: Chunks) -> Chunks:
    """Yield the content of every zstd frame. Skip skippable frames: zstd:chunked layers have them
    at the end, pzstd's at the beginning."""
    import zstandard  # few layers need it; it loads `platform`

    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    source = _ChunkFile(_whole_frames(chunks))
    reader = decompressor.stream_reader(source, read_size=CHUNK, read_across_frames=True)  # type: ignore[arg-type]
    try:
        while piece := reader.read(CHUNK):
            yield piece
    except zstandard.ZstdError as error:
        raise LayerError(f"zstd: {error}") from None


def _is_frame(head: bytes) -> bool:
    """Return whether a zstd frame begins with these bytes: a data frame or a skippable one (RFC
    8878, 3.1.2)."""
    return head[:4] == _ZSTD_MAGIC or (head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F)


def _whole_frames(chunks: Chunks) -> Chunks:
    """Yield the bytes unchanged. Raise LayerError if they are not frames, or end within a frame:
    zstandard's reader does not tell a stream that ended from a stream that was cut short."""
    pieces: list[bytes] = []
    size = 0
    for piece in _frames(Buffer(chunks)):
        pieces.append(piece)
        size += len(piece)
        if size >= _ENOUGH:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def _frames(buffer: Buffer) -> Iterator[bytes]:
    while magic := buffer.take(4):
        if not _is_frame(magic):
            raise LayerError("zstd: the data that follows a frame is not another frame")
        yield magic
        yield from _frame(buffer) if magic == _ZSTD_MAGIC else _skippable(buffer)


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


_READERS = {Compression.NONE: _plain, Compression.GZIP: gunzipped, Compression.ZSTD: _unzstd}
