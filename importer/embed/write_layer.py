"""Write one layer of the new image: its tar, hashed and compressed, into a layout."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.embed.layer_tar import EmbeddedTar, Source
from importer.embed.result import WrittenLayer
from layers.compress.compress import BlobCompression, compressed
from layers.digest import Digest
from layers.entry import Owner
from layers.oci.derive import NewLayer
from layers.oci.manifest import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from importer.files.oci_layout import Layout
    from importer.progress import Advance, Progress
    from importer.repo.writer import Repo
    from layers.chunks import Chunks
    from layers.path import Path


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer to write, and its members.

    `store_layers` are the ids of the store's layers in it, `images` the labels of their images.
    `created_by` is for its history entry, `name` for the progress. `size` is about the bytes of
    the tar.
    """

    members: Mapping[Path, Source]
    store_layers: tuple[str, ...]
    images: tuple[str, ...]
    created_by: str
    name: str
    size: int


class LayerWriter:
    """Writes planned layers into a layout. `owners` is `EmbeddedTar`'s function `owner_of`."""

    def __init__(
        self,
        repo: Repo,
        owners: Callable[[Path], Owner],
        layout: Layout,
        compression: BlobCompression,
        progress: Progress,
    ) -> None:
        self._repo = repo
        self._owners = owners
        self._layout = layout
        self._compression = compression
        self._progress = progress

    def write(self, planned: PlannedLayer) -> WrittenLayer:
        """Write one layer. Called from several threads."""
        tar = EmbeddedTar(self._repo, self._owners)
        hashed = _Hashed()
        with self._progress.blob(planned.name, planned.size) as advance:
            chunks = hashed.read(tar.chunks(planned.members), advance)
            digest, size = self._layout.add(compressed(chunks, self._compression))
        blob = Descriptor(self._compression.media_type, digest, size)
        layer = NewLayer(blob, hashed.digest, planned.created_by)
        noted = frozenset(tar.xattrs), tuple(tar.unusual)
        return WrittenLayer(layer, hashed.size, planned.store_layers, planned.images, *noted)


class _Hashed:
    """Hashes a tar and counts its bytes while they are read."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> Digest:
        """Return the diffID. Call this once the tar is read."""
        return Digest("sha256", self._hasher.hexdigest())

    def read(self, chunks: Chunks, advance: Advance) -> Chunks:
        """Yield the chunks."""
        for chunk in chunks:
            self._hasher.update(chunk)
            self.size += len(chunk)
            advance(len(chunk))
            yield chunk
