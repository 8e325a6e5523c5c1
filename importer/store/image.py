"""An image in a store: its record, its documents and its layers' records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError, within
from layers.frozen import frozen
from layers.oci.config import parse_config
from layers.oci.manifest import Index, Manifest, parse_manifest
from layers.oci.reference import ImageName, stored_reference
from layers.storage.image import Image, short_name
from layers.storage.image_record import MANIFEST
from layers.storage.layer_id import layer_ids
from layers.storage.layer_record import chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from importer.store.reader import StoreView
    from layers.digest import Digest
    from layers.oci.config import ImageConfig
    from layers.oci.manifest import Descriptor
    from layers.storage.image_record import ImageRecord
    from layers.storage.layer_record import LayerRecord


@frozen
class ImageView:
    """An image of a store.

    `layers` are base first. `components` are its names in a release. `others` are further
    manifests of the same config: the same layers, compressed in other ways.
    """

    record: ImageRecord
    manifest: Manifest
    others: tuple[Manifest, ...]
    indexes: tuple[Index, ...]
    config: ImageConfig
    layers: tuple[LayerRecord, ...]
    components: tuple[str, ...]

    def document(self) -> dict[str, object]:
        return {
            "image_id": self.id,  # podman's image id
            "names": self.names,  # the names in the store
            "components": self.components,  # the names in the release, if the branch is one's
            "digest": self.manifest.digest,  # the manifest's digest
        }

    @property
    def id(self) -> str:
        """Return the config digest's hex digits, podman's image id."""
        return self.record.id

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names by which podman finds it."""
        return self.record.names

    @property
    def created(self) -> str:
        """Return when the image was made, as its config has it."""
        return self.config.created

    @property
    def created_seconds(self) -> int:
        return self.config.created_seconds

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Return all manifests, first the manifest that podman shows."""
        return (self.manifest, *self.others)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Return the digests of the image's manifests and indexes."""
        manifests = [manifest.digest for manifest in self.manifests]
        return (*manifests, *(index.digest for index in self.indexes))

    def blobs(self, layer_id: str) -> list[Descriptor]:
        """Return the blobs in the image's manifests of a layer, given by its standard id.

        A flattened image has the blobs of the layers in its config.
        """
        ids = layer_ids(self.config.diff_ids)
        if layer_id not in ids:
            return []
        return [manifest.layers[ids.index(layer_id)] for manifest in self.manifests]

    @property
    def repositories(self) -> frozenset[str]:
        """Return the image's names without tags and digests."""
        return frozenset(ImageName.parse(name).repository for name in self.names)

    @property
    def label(self) -> str:
        """Return the image's first name, or the beginning of its id."""
        return self.record.label

    @property
    def full_label(self) -> str:
        """Return the names in a release, followed by the label."""
        return "  ".join((*self.components, self.label))

    @property
    def short_label(self) -> str:
        """Return the names in a release, or the label's last part with a digest cut to 12 digits.

        All images of a release may be of one repository.
        """
        if self.components:
            return ", ".join(self.components)
        return short_name(self.label)

    @property
    def platform(self) -> str:
        """Return `os/architecture[/variant]`."""
        parts = (self.config.os, self.config.architecture, self.config.variant)
        return "/".join(part for part in parts if part)

    @property
    def flattened(self) -> bool:
        """Return whether the image has other layers than its config names."""
        return tuple(layer.diff_id for layer in self.layers) != self.config.diff_ids

    @property
    def signatures(self) -> int:
        """Return the number of signatures of all of its manifests."""
        return sum(map(len, self.record.signature_sizes.values()))

    @property
    def size(self) -> int:
        """Return the bytes of its layers' tars, uncompressed."""
        return sum(layer.diff_size for layer in self.layers)


def read_image(store: StoreView, record: ImageRecord) -> ImageView:
    """Read the documents of an image. Raise LayerError, with the image's id, if they are malformed
    or missing."""
    with within(digest=f"image {record.id[:12]}"):
        documents = _documents(store, record)
        manifest = _shown_manifest(store, record, documents)
        indexes = tuple(index for index in documents if isinstance(index, Index))
        others = _others(documents, manifest)
        config = parse_config(store.big_data(record, str(manifest.config.digest)), manifest)
        layers = chain(store.layers, record.layer)
        components = _components(store, (manifest, *others, *indexes))
        return ImageView(record, manifest, others, indexes, config, layers, components)


def _documents(store: StoreView, record: ImageRecord) -> list[Manifest | Index]:
    """Return the manifests and indexes that the store keeps under their digests."""
    return [
        parse_manifest(store.big_data(record, f"{MANIFEST}{digest}"), digest.algorithm)
        for digest in record.manifests
    ]


def _shown_manifest(
    store: StoreView, record: ImageRecord, documents: Iterable[Manifest | Index]
) -> Manifest:
    """Return the manifest that podman shows."""
    raw = store.big_data(record, "manifest")
    kept = next((document for document in documents if document.raw == raw), None)
    manifest = kept or parse_manifest(raw)
    if isinstance(manifest, Index):
        raise LayerError("its manifest is an index")
    return manifest


def _others(documents: Iterable[Manifest | Index], manifest: Manifest) -> tuple[Manifest, ...]:
    """Return the other manifests of the same image."""
    return tuple(
        other
        for other in documents
        if isinstance(other, Manifest)
        and other.digest != manifest.digest
        and other.config.digest == manifest.config.digest
        and len(other.layers) == len(manifest.layers)
    )


def _components(store: StoreView, documents: Iterable[Manifest | Index]) -> tuple[str, ...]:
    digests = {str(document.digest) for document in documents}
    components = store.release.components.values() if store.release is not None else ()
    return tuple(sorted(each.name for each in components if each.digest in digests))


def kept_image(store: StoreView, view: ImageView, kept_from: str, taken: Set[str]) -> Image:
    """Make an image of the store ready to be committed again, without the names in `taken`.

    `kept_from` is the release that the image is kept from, "" for an image of the new commit's own.
    """
    names = tuple(name for name in view.names if name not in taken)
    return Image(
        stored_reference(view.names, f"containers-storage:@{view.id}"),
        "",
        view.manifest,
        view.config,
        view.indexes[0] if len(view.indexes) == 1 else None,
        kept_names=names,
        kept_documents=(view.manifest, *view.others, *view.indexes),
        kept_from=kept_from,
        signatures=store.signatures(view.record).get(view.manifest.digest, ()),
    )
