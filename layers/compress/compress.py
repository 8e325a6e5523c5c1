"""Compress a tar: the same bytes for the same tar.

zlib (gzip) and zstd give the same output on every processor, if library and level are the same.
isal, which reads gzip faster, does not promise that, so it is not used here.
"""

from __future__ import annotations

import zlib
from enum import Enum
from typing import TYPE_CHECKING

import zstandard

from layers.oci.media_type import TAR_LAYER

if TYPE_CHECKING:
    from typing import Protocol

    from layers.chunks import Chunks

    class _Compressor(Protocol):
        def compress(self, data: bytes, /) -> bytes: ...
        def flush(self) -> bytes: ...


# The bytes that a compressor gets at once: its output may depend on where its input is cut.
_PIECE = 1 << 20
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # RFC 1952's header, with no name and no time


class BlobCompression(Enum):
    """How the blob of a new layer is compressed."""

    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def media_type(self) -> str:
        """Return the layer's media type, image-spec layer.md."""
        return f"{TAR_LAYER}+{self.value}"


def compressed(chunks: Chunks, how: BlobCompression) -> Chunks:
    """Yield the blob of a tar."""
    compressor = _compressor(how)
    for piece in _cut(chunks):
        if packed := compressor.compress(piece):
            yield packed
    yield compressor.flush()


def _compressor(how: BlobCompression) -> _Compressor:
    if how is BlobCompression.GZIP:
        return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()


def _cut(chunks: Chunks) -> Chunks:
    """Yield the same bytes in pieces of 1 MiB, the last one shorter."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= _PIECE:
            yield bytes(held[:_PIECE])
            del held[:_PIECE]
    if held:
        yield bytes(held)
