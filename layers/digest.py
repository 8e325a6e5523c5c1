"""Digests, as the OCI image spec's descriptors write them."""

from __future__ import annotations

import hashlib
import re
from typing import Protocol, Self

from layers.errors import CHANGED, LayerError
from layers.frozen import frozen

# https://github.com/opencontainers/image-spec/blob/main/descriptor.md#registered-algorithms;
# the encoded part is lower-case hex only, so that one digest has one spelling.
_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_DIGEST = r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([A-Za-z0-9=_-]+)"
_LOWER_HEX = r"[0-9a-f]+"


class Hasher(Protocol):
    """The part of `hashlib`'s interface that the readers use."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@frozen
class Digest:
    """A checked digest, `algorithm:hex`."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: object) -> Self:
        """Parse a digest. Raise LayerError if it is malformed, or of an algorithm that we cannot
        verify."""
        match = re.fullmatch(_DIGEST, text) if isinstance(text, str) else None
        if match is None:
            shown = repr(text[:100]) if isinstance(text, str) else f"a {type(text).__name__}"
            raise LayerError(f"not a digest: {shown}")
        algorithm, encoded = match.groups()
        if algorithm not in _HEX_LENGTH:
            raise LayerError(
                f"digest algorithm {algorithm!r} is not supported",
                hint="the OCI image spec registers sha256 and sha512",
            )
        if len(encoded) != _HEX_LENGTH[algorithm] or not re.fullmatch(_LOWER_HEX, encoded):
            raise LayerError(
                f"not a digest: {f'{algorithm}:{encoded}'[:100]!r}; {algorithm} has"
                f" {_HEX_LENGTH[algorithm]} lower-case hex digits"
            )
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def hasher(self) -> Hasher:
        return hashlib.new(self.algorithm)

    def check(self, data: bytes, what: str) -> bytes:
        """Return the data. Raise LayerError, naming `what`, if they have another digest."""
        actual = Digest.of(data, self.algorithm)
        if actual != self:
            raise LayerError(
                f"{what} has digest {actual}, not the one asked for", hint=CHANGED, digest=str(self)
            )
        return data

    def __lt__(self, other: Digest) -> bool:
        return (self.algorithm, self.hex) < (other.algorithm, other.hex)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
