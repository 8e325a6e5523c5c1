"""Put layers on top of an image: its new config and manifest.

Format: image-spec config.md and manifest.md. All fields of the base stay: bootc reads labels of
the base's config, and annotations of its layers.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import Document, array, compact_json, mapping, parse_document
from layers.frozen import frozen
from layers.oci.config import ImageConfig, parse_config
from layers.oci.manifest import Descriptor, Manifest
from layers.oci.media_type import OCI_CONFIG, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The annotation that names the commit whose store is in the image.
STORE_COMMIT = "import-image.commit"
_BASE_DIGEST = "org.opencontainers.image.base.digest"
_BASE_NAME = "org.opencontainers.image.base.name"
_CREATED = "org.opencontainers.image.created"
# They tell bootc which layers hold an ostree commit (ostree-ext, container/store.rs,
# parse_manifest_layout).
_OSTREE_LABELS = ("ostree.commit", "ostree.final-diffid")


@frozen
class NewLayer:
    """A layer to add. `created_by` goes into the history."""

    blob: Descriptor
    diff_id: Digest
    created_by: str


@frozen
class Derivation:
    """The metadata of a derived image. `created` in RFC 3339; `base_name` may be "".
    `base_digest` is None for layers that are on no image."""

    created: str
    base_name: str
    base_digest: Digest | None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def replaced_layers(
    config: bytes, manifest: bytes, layers: Sequence[NewLayer]
) -> tuple[Manifest, ImageConfig]:
    """Return an image's documents with these layers in place of its own. All else stays, but for
    labels that name layers."""
    document = parse_document(config, "the base's config")
    inner = dict(mapping(document, "config", "the base's config", {}))
    labels = mapping(inner, "Labels", "the base's config", {})
    if labels:
        inner["Labels"] = {key: labels[key] for key in labels if key not in _OSTREE_LABELS}
    rootfs = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]}
    history = [{"created_by": layer.created_by} for layer in layers]
    raw = compact_json(document | {"config": inner, "rootfs": rootfs, "history": history})
    blob = Descriptor(OCI_CONFIG, Digest.of(raw), len(raw))
    changes: Document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": blob.document,
        "layers": [layer.blob.document for layer in layers],
    }
    new = compact_json(parse_document(manifest, "the base's manifest") | changes)
    blobs = tuple(layer.blob for layer in layers)
    made = Manifest(new, Digest.of(new), OCI_MANIFEST, blob, blobs)
    return made, parse_config(raw, made)


def derived_config(base: bytes, layers: Sequence[NewLayer], derivation: Derivation) -> bytes:
    """Return the config of the base with these layers on top."""
    document = parse_document(base, "the base's config")
    rootfs = dict(mapping(document, "rootfs", "the base's config"))
    diff_ids = array(rootfs, "diff_ids", "the base's config", [])
    rootfs["diff_ids"] = [*diff_ids, *(str(layer.diff_id) for layer in layers)]
    inner = dict(mapping(document, "config", "the base's config", {}))
    labels = mapping(inner, "Labels", "the base's config", {})
    if derivation.labels:
        inner["Labels"] = {**labels, **derivation.labels}
    history = [*array(document, "history", "the base's config", []), *_history(layers, derivation)]
    changes = {"created": derivation.created, "config": inner, "rootfs": rootfs, "history": history}
    return compact_json(document | changes)


def _history(layers: Sequence[NewLayer], derivation: Derivation) -> list[Document]:
    """Return an entry for each layer; the first one names the base, as buildah writes it."""
    entries: list[Document] = [
        {"created": derivation.created, "created_by": layer.created_by} for layer in layers
    ]
    if entries and derivation.base_name:
        entries[0]["comment"] = f"FROM {derivation.base_name}"
    return entries


def derived_manifest(
    base: bytes,
    base_layers: Sequence[Descriptor],
    layers: Sequence[NewLayer],
    config: Descriptor,
    derivation: Derivation,
) -> bytes:
    """Return the manifest of the base with these layers on top.

    `base_layers` are the blobs of the base's layers, which keep the annotations that the base's
    manifest gives them. `config` is the new config's.
    """
    document = parse_document(base, "the base's manifest")
    present = array(document, "layers", "the base's manifest", [])
    kept = [{**old, **blob.document} for old, blob in zip(present, base_layers, strict=True)]
    inherited = dict(mapping(document, "annotations", "the base's manifest", {}))
    ours = {_CREATED: derivation.created}
    if derivation.base_digest is None:
        for name in (_BASE_DIGEST, _BASE_NAME):
            inherited.pop(name, None)
    else:
        ours[_BASE_DIGEST] = str(derivation.base_digest)
    if derivation.base_name:
        ours[_BASE_NAME] = derivation.base_name
    return compact_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.document,
            "layers": [*kept, *(layer.blob.document for layer in layers)],
            "annotations": {**inherited, **ours, **derivation.annotations},
        }
    )
