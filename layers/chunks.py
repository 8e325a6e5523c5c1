"""Streams of chunks of bytes: verified while they pass, or taken in pieces of an exact size."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator

from layers.digest import Digest
from layers.errors import CHANGED, LayerError
from layers.limits import TOO_LARGE

type Chunks = Iterator[bytes]
# Chunks that hold a file open: a reader that stops early has to `close` them.
type OpenChunks = Generator[bytes]


def verified(chunks: Chunks, digest: Digest, size: int) -> OpenChunks:
    """Yield the blob's chunks. Raise LayerError at the end unless they have this digest and size in
    bytes.

    More than `size` bytes are refused at once, since a server might never stop sending.
    """
    hashed = Hashed(chunks, digest.algorithm)
    for chunk in hashed:
        if hashed.size > size:
            raise LayerError(
                f"the blob is longer than the {size} bytes that the manifest gives it", hint=CHANGED
            )
        yield chunk
    if hashed.size < size:
        raise LayerError(f"the blob ends after {hashed.size} of {size} bytes", hint=CHANGED)
    if hashed.digest != digest:
        raise LayerError(f"the blob's content has digest {hashed.digest}", hint=CHANGED)


def check_size(size: int, max_size: int) -> None:
    """Raise LayerError if a layer has more than `max_size` bytes."""
    if size > max_size:
        raise LayerError(f"the layer unpacks to more than {max_size} bytes", hint=TOO_LARGE)


class Hashed:
    """Hash and count chunks while they pass."""

    def __init__(self, chunks: Chunks, algorithm: str = "sha256") -> None:
        self._chunks = chunks
        self._algorithm = algorithm
        self._hasher = hashlib.new(algorithm)
        self.size = 0

    @property
    def digest(self) -> Digest:
        """Return the digest of the chunks so far."""
        return Digest(self._algorithm, self._hasher.hexdigest())

    def __iter__(self) -> Chunks:
        for chunk in self._chunks:
            self.size += len(chunk)
            self._hasher.update(chunk)
            yield chunk


class DiffID(Hashed):
    """Hash and count the uncompressed tar while it passes, and compare the hash at the end."""

    def __init__(self, chunks: Chunks, expected: Digest, max_size: int) -> None:
        super().__init__(chunks, expected.algorithm)
        self._expected = expected
        self._max_size = max_size

    def __iter__(self) -> Chunks:
        """Yield the chunks. Raise LayerError after `max_size` bytes, or at the end if the diffID
        differs.

        The bound protects from decompression bombs: a manifest only states the compressed size.
        """
        for chunk in super().__iter__():
            check_size(self.size, self._max_size)
            yield chunk
        if self.digest != self._expected:
            raise LayerError(
                f"the layer unpacks to {self.digest}, the config's diff_ids say {self._expected}"
            )


def joined(chunks: Chunks, limit: int, what: str) -> bytes:
    """Return all chunks as one. Raise LayerError, naming `what`, after more than `limit` bytes."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > limit:
            raise LayerError(f"{what} has more than {limit} bytes")
    return bytes(data)


def drain(chunks: Chunks) -> None:
    """Read to the end, since the chunks are verified there."""
    for _ in chunks:
        pass


class Buffer:
    """Take exact numbers of bytes from the front of a stream. One chunk is in memory at a time."""

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
        """Yield the next `count` bytes in pieces, or fewer where the stream ends."""
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
