"""The result of `image-store embed`, for standard output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from importer.render.table import Block, Text

if TYPE_CHECKING:
    from importer.embed.destination import Published
    from importer.store.reader import StoreView
    from layers.digest import Digest
    from layers.oci.derive import NewLayer
    from layers.oci.reference import Reference
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """A layer of the new image.

    `store_layers` are the ids of the store's layers in it, `images` the labels of their images.
    `tar_size` is in bytes. `xattrs` and `unusual` as `LayerTar` has them.
    """

    layer: NewLayer
    tar_size: int
    store_layers: tuple[str, ...]
    images: tuple[str, ...]
    xattrs: frozenset[bytes]
    unusual: tuple[bytes, ...]

    def document(self) -> dict[str, Any]:
        """Return the layer for JSON."""
        return {
            "digest": str(self.layer.blob.digest),
            "diff_id": str(self.layer.diff_id),
            "size": self.layer.blob.size,
            "tar_size": self.tar_size,
            "store_layers": list(self.store_layers),
            "images": list(self.images),
        }


@dataclass(frozen=True, slots=True)
class Embedded:
    """The new image: its place, its config's digest, and its layers on top of the base's. `status`
    is the command's exit status."""

    to: Reference
    published: Published
    config: Digest
    base: Image
    store: StoreView
    layers: tuple[WrittenLayer, ...]
    status: int = 0

    def blocks(self) -> list[Block]:
        """Return the manifest's digest alone, as an import prints its commit."""
        return [Text(str(self.published.digest))]

    def document(self) -> dict[str, Any]:
        """Return the JSON document. Sizes are in bytes."""
        return {
            "destination": str(self.to),
            "digest": str(self.published.digest),
            "unchanged": self.published.unchanged,
            "image_id": self.config.hex,
            "base": str(self.base.reference),
            "base_digest": str(self.base.digest),
            "base_layers": len(self.base.layers),
            "branch": self.store.branch,
            "commit": self.store.commit.checksum,
            "layers": [layer.document() for layer in self.layers],
        }
