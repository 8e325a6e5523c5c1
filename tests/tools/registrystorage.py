"""The files in which a registry keeps its blobs, and ways to break them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RegistryStorage:
    """The storage of the "filesystem" driver. All repositories share a blob's one file."""

    root: Path

    def path(self, digest: str) -> Path:
        """The file of a blob or a manifest."""
        algorithm, _, encoded = digest.partition(":")
        return self.root / "docker/registry/v2/blobs" / algorithm / encoded[:2] / encoded / "data"

    def delete(self, digest: str) -> None:
        """The registry answers 404 from now on."""
        self.path(digest).unlink()

    def truncate(self, digest: str, keep: int | None = None) -> None:
        """Cuts the blob to `keep` bytes (half): the answer is well formed, only too short."""
        path = self.path(digest)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2 if keep is None else keep])

    def corrupt(self, digest: str, offset: int | None = None) -> None:
        """Turns over the bits of one byte (the middle one)."""
        path = self.path(digest)
        data = bytearray(path.read_bytes())
        data[len(data) // 2 if offset is None else offset] ^= 0xFF
        path.write_bytes(data)
