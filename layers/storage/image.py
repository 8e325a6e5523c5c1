"""A resolved image: its manifest and config, its layers, its names and its record in a store."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import KW_ONLY, fields
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Self

from layers.digest import Digest
from layers.errors import within
from layers.frozen import frozen
from layers.oci.manifest import Descriptor, Index
from layers.oci.media_type import TAR_LAYER, Compression, layer_compression
from layers.oci.readable import check_image, check_index, check_manifest
from layers.storage.image_record import StoredImage
from layers.storage.layer_id import layer_ids
from layers.tar.writer import END

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from layers.oci.config import ImageConfig
    from layers.oci.manifest import Manifest
    from layers.oci.reference import ImageName, Reference


@frozen
class ImageLayer:
    """One layer of one image: its blob, the diffID of the blob's tar, and its place; or a blob of
    an artifact.

    `available` is the blob that can be fetched, mostly the same as `blob`.
    """

    blob: Descriptor
    available: Descriptor
    diff_id: Digest
    id: str
    parents: tuple[str, ...]  # layer ids, nearest first

    @classmethod
    def of_file(cls, blob: Descriptor) -> Self:
        """Return a blob of an artifact, which is stored as a file. Its digest is its id."""
        return cls(blob, blob, blob.digest, str(blob.digest), ())

    @property
    def is_file(self) -> bool:
        """Return whether the blob is stored as a file, and no tar to unpack."""
        return self.id == str(self.blob.digest)

    @property
    def compression(self) -> Compression:
        """Return the blob's compression. Raise LayerError for an unknown media type."""
        return _compression(self.blob)

    @property
    def available_compression(self) -> Compression:
        """Return the available blob's compression. Raise LayerError for an unknown media type."""
        return _compression(self.available)


def _compression(blob: Descriptor) -> Compression:
    with within(digest=str(blob.digest)):
        return layer_compression(blob.media_type)


@frozen
class Image:
    """A resolved image. skopeo finds the blobs in `source`. `name` overrides the reference's name.

    `available` are the layers that the transport has, if they differ from the manifest's:
    containers-storage unpacks the layers that it pulls. `kept_names` and `kept_documents` are all
    names, manifests and indexes in a store that we read ourselves; these names replace the others.
    `kept_from` names the release that the image is kept from, "" for an image of the new release.
    `signatures` are the manifest's, as containers-storage keeps them.
    """

    reference: Reference
    source: str
    manifest: Manifest
    config: ImageConfig
    index: Index | None = None
    name: ImageName | None = None
    available: tuple[Descriptor, ...] | None = None
    kept_names: tuple[str, ...] | None = None
    kept_documents: tuple[Manifest | Index, ...] = ()
    kept_from: str = ""
    signatures: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Raise LayerError, naming the field, for an image that podman could not read back."""
        check_image(self.manifest, self.config)
        for document in (self.index, *self.kept_documents):
            if isinstance(document, Index):
                check_index(document)
            elif document is not None:
                check_manifest(document)

    @property
    def created(self) -> str:
        """Return when the image was made, as its config has it."""
        return self.config.created

    @property
    def created_seconds(self) -> int:
        """Return `created` in seconds since 1970."""
        return self.config.created_seconds

    @property
    def id(self) -> str:
        """Return the image id, as podman shows it: the config's digest."""
        return self.manifest.config.digest.hex

    @property
    def digest(self) -> Digest:
        """Return the digest that the reference resolves to: the index's, where there is one."""
        return self.index.digest if self.index else self.manifest.digest

    @cached_property
    def layers(self) -> tuple[ImageLayer, ...]:
        """Return the layers, base first."""
        blobs = self.manifest.layers
        return _chain(zip(blobs, self.available or blobs, self.config.diff_ids, strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in the store: the reference's name, and an index's digest."""
        if self.kept_names is not None:
            return self.kept_names
        name = self.name or self.reference.name
        if name is None:
            return ()
        names = [name.at(name.digest)] if name.digest else [name]
        if self.index:
            names.append(name.at(self.index.digest))
        return tuple(dict.fromkeys(map(str, names)))

    def big_data(self) -> dict[str, bytes]:
        """Return the original documents by containers-storage's keys."""
        data = {f"manifest-{self.manifest.digest}": self.manifest.raw}
        if self.index:
            data[f"manifest-{self.index.digest}"] = self.index.raw
        for document in self.kept_documents:
            data[f"manifest-{document.digest}"] = document.raw
        return data | {str(self.manifest.config.digest): self.config.raw}


@frozen
class FlatImage(Image):
    """An image with other layers than its own: the top one has all of its files.

    `merged` is the top layer's tar, uncompressed. podman's `history` pairs layers and diff_ids, so
    there are as many layers as the config has diff_ids, and the lower ones are empty. Each layer
    has the digest of its own tar, and the id that follows from these digests.
    """

    _: KW_ONLY
    merged: Descriptor

    @classmethod
    def of(cls, image: Image, merged: Descriptor) -> Self:
        """Return the image with all of its files in `merged`."""
        parts = {part.name: getattr(image, part.name) for part in fields(Image)}
        return cls(**parts, merged=merged)

    @cached_property
    def layers(self) -> tuple[ImageLayer, ...]:
        """Return the layers, base first."""
        empty = Descriptor(TAR_LAYER, Digest.of(END), len(END))
        tars = [empty] * (len(self.config.diff_ids) - 1) + [self.merged]
        return _chain((tar, tar, tar.digest) for tar in tars)


def _chain(layers: Iterable[tuple[Descriptor, Descriptor, Digest]]) -> tuple[ImageLayer, ...]:
    """Return the layers of these blobs, available blobs and diffIDs, each on top of the last."""
    triples = list(layers)
    ids = layer_ids(diff_id for _, _, diff_id in triples)
    return tuple(
        ImageLayer(blob, available, diff_id, ids[n], tuple(reversed(ids[:n])))
        for n, (blob, available, diff_id) in enumerate(triples)
    )


def stored_images(images: Iterable[Image], ids: Mapping[str, str]) -> list[StoredImage]:
    """Return one record for each image id, whatever the order of the images.

    `ids` maps standard layer ids to the store's. Two manifests can share a config, if the same
    layers were packed in two ways; then the record has the names and manifests of both.
    """
    ordered = sorted(images, key=lambda image: (image.id, image.manifest.digest, image.names))
    groups = groupby(ordered, key=lambda image: image.id)
    return [_stored(image_id, list(group), ids) for image_id, group in groups]


def _stored(image_id: str, group: list[Image], ids: Mapping[str, str]) -> StoredImage:
    first = group[0]
    # The digest of an index if the image was asked for by indexes alone, as podman records it.
    digest = next((image.digest for image in group if image.index is None), first.digest)
    data = {key: value for image in group for key, value in image.big_data().items()}
    return StoredImage(
        image_id,
        digest,
        tuple(sorted({name for image in group for name in image.names})),
        ids[first.layers[-1].id] if first.layers else "",
        first.config.created,
        data | {"manifest": first.manifest.raw},
        first.kept_from if all(image.kept_from for image in group) else "",
        _signatures(group),
    )


def _signatures(group: list[Image]) -> dict[Digest, tuple[bytes, ...]]:
    """Return the signatures of each manifest: an image of two names may be signed for each."""
    signatures: dict[Digest, tuple[bytes, ...]] = {}
    for image in group:
        if image.signatures:
            present = signatures.get(image.manifest.digest, ())
            added = (signature for signature in image.signatures if signature not in present)
            signatures[image.manifest.digest] = (*present, *added)
    return signatures


def short_name(name: str) -> str:
    """Return the last part of an image's name or reference, with a digest cut to 12 digits."""
    last, at, digest = name.rpartition("/")[2].partition("@")
    return f"{last}@{digest.rpartition(':')[2][:12]}" if at else last


def short_names(images: Sequence[Image]) -> list[str]:
    """Return the last part of each image's repository, or the short name where several have it."""
    short = [short_name(next(iter(image.names), str(image.reference))) for image in images]
    bare = [
        re.split("[:@]", name)[0] if image.names else name
        for name, image in zip(short, images, strict=True)
    ]
    counts = Counter(bare)
    return [alone if counts[alone] == 1 else name for alone, name in zip(bare, short, strict=True)]
