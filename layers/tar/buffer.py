"""Take exact numbers of bytes out of chunks of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layers.chunks import Chunks


class Buffer:
    """The front of a stream of chunks. Holds one chunk at a time."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, or fewer where the stream ends."""
        end = self._at + count
        if end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at = end
            return data
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Chunks:
        """Yield the next `count` bytes in the pieces in which they arrive, fewer where the stream
        ends."""
        while count > 0 and (self._at < len(self._chunk) or self._refill()):
            piece = self._chunk[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield piece

    def rest(self) -> Chunks:
        """Yield all bytes that are left."""
        while self._at < len(self._chunk) or self._refill():
            piece = self._chunk[self._at :]
            self._at = len(self._chunk)
            yield piece

    def _refill(self) -> bool:
        self._chunk, self._at = next(self._chunks, b""), 0
        return bool(self._chunk)
