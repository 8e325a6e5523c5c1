"""Turn a layer's blob into its tar: gzip, zstd or plain."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import zstandard
from isal import igzip_lib

from layers.compress.zstd_frames import is_frame, whole_frames
from layers.errors import LayerError
from layers.oci.media_type import Compression, may_be_unpacked

if TYPE_CHECKING:
    from layers.chunks import Chunks

CHUNK = 1 << 20
# Two chunks: a member's header can begin at the end of one.
_MAX_HEADER = 2 * CHUNK
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # isal's stub errs
# A gzip member's header: RFC 1952, 2.3.
_GZIP_MAGIC = b"\x1f\x8b"
_FIXED = 10
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16
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
    if is_frame(head):
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
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    source = _ChunkFile(whole_frames(chunks))
    reader = decompressor.stream_reader(source, read_size=CHUNK, read_across_frames=True)  # type: ignore[arg-type]
    try:
        while piece := reader.read(CHUNK):
            yield piece
    except zstandard.ZstdError as error:
        raise LayerError(f"zstd: {error}") from None


_READERS = {Compression.NONE: _plain, Compression.GZIP: gunzipped, Compression.ZSTD: _unzstd}
