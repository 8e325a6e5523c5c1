"""An image as a store in a commit has it: its record, its documents and its layers' records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.oci.reference import ImageName
from layers.storage.layer_id import layer_ids

if TYPE_CHECKING:
    from layers.digest import Digest
    from layers.oci.config import ImageConfig
    from layers.oci.manifest import Descriptor, Index, Manifest
    from layers.storage.image_record import ImageRecord
    from layers.storage.layer_record import LayerRecord


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image of a store; `layers` base first, `components` what its release calls it, if
    import-release made the commit. `others` are manifests of the same config beside the one
    that podman shows: the same layers, packed in other ways."""

    record: ImageRecord
    manifest: Manifest
    others: tuple[Manifest, ...]
    indexes: tuple[Index, ...]
    config: ImageConfig
    layers: tuple[LayerRecord, ...]
    components: tuple[str, ...]

    @property
    def id(self) -> str:
        """As podman shows it: the config's digest."""
        return self.record.id

    @property
    def names(self) -> tuple[str, ...]:
        """Under what podman finds it."""
        return self.record.names

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """All of them, podman's first."""
        return (self.manifest, *self.others)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Those of its manifests, and of the indexes that it came with."""
        manifests = [manifest.digest for manifest in self.manifests]
        return (*manifests, *(index.digest for index in self.indexes))

    def blobs(self, layer_id: str) -> list[Descriptor]:
        """Return the blobs that its manifests name for a layer, given by its standard id.

        A flattened image still has those of its config's layers.
        """
        ids = layer_ids(self.config.diff_ids)
        if layer_id not in ids:
            return []
        return [manifest.layers[ids.index(layer_id)] for manifest in self.manifests]

    @property
    def repositories(self) -> frozenset[str]:
        """Its names without tags and digests."""
        return frozenset(ImageName.parse(name).repository for name in self.names)

    @property
    def label(self) -> str:
        """One name for people, or the id."""
        return self.names[0] if self.names else self.id[:12]

    @property
    def full_label(self) -> str:
        """The label, behind what its release calls it."""
        return "  ".join((*self.components, self.label))

    @property
    def short_label(self) -> str:
        """What its release calls it; else the label's last part, a digest cut to 12 digits.

        All images of a release may be of one repository.
        """
        if self.components:
            return ", ".join(self.components)
        name, at, digest = self.label.rpartition("/")[2].partition("@")
        return f"{name}@{digest.partition(':')[2][:12]}" if at else name

    @property
    def platform(self) -> str:
        """`os/architecture[/variant]`."""
        parts = (self.config.os, self.config.architecture, self.config.variant)
        return "/".join(part for part in parts if part)

    @property
    def flattened(self) -> bool:
        """Whether its layers are not those that its config names."""
        return tuple(layer.diff_id for layer in self.layers) != self.config.diff_ids

    @property
    def size(self) -> int:
        """Bytes of its layers' tars, uncompressed."""
        return sum(layer.diff_size for layer in self.layers)
