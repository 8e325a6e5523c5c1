"""Put layers on top of an image: its new config and manifest.

Format: image-spec config.md and manifest.md. Everything that the base has stays, also what we do
not know: bootc reads labels of the base's config, and annotations of its layers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from layers.document import Document, array, mapping, parse_document
from layers.oci.media_type import OCI_CONFIG, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from layers.digest import Digest
    from layers.oci.manifest import Descriptor

# The commit of ours whose store is in the image.
STORE_COMMIT = "import-image.commit"
_BASE_DIGEST = "org.opencontainers.image.base.digest"
_BASE_NAME = "org.opencontainers.image.base.name"
_CREATED = "org.opencontainers.image.created"


@dataclass(frozen=True, slots=True)
class NewLayer:
    """A layer to add. `created_by` tells in the history what made it."""

    blob: Descriptor
    diff_id: Digest
    created_by: str


@dataclass(frozen=True, slots=True)
class Derivation:
    """The metadata of a derived image. `created` in RFC 3339; `base_name` may be ""."""

    created: str
    base_name: str
    base_digest: Digest
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def derived_config(base: bytes, layers: Sequence[NewLayer], said: Derivation) -> bytes:
    """Return the config of the base with these layers on top."""
    document = parse_document(base, "the base's config")
    rootfs = dict(mapping(document, "rootfs", "the base's config"))
    diff_ids = array(rootfs, "diff_ids", "the base's config", [])
    rootfs["diff_ids"] = [*diff_ids, *(str(layer.diff_id) for layer in layers)]
    inner = dict(mapping(document, "config", "the base's config", {}))
    labels = mapping(inner, "Labels", "the base's config", {})
    if said.labels:
        inner["Labels"] = {**labels, **said.labels}
    history = [*array(document, "history", "the base's config", []), *_history(layers, said)]
    changes = {"created": said.created, "config": inner, "rootfs": rootfs, "history": history}
    return _json(document | changes)


def _history(layers: Sequence[NewLayer], said: Derivation) -> list[Document]:
    """Return an entry for each layer; the first one names the base, as buildah writes it."""
    entries: list[Document] = [
        {"created": said.created, "created_by": layer.created_by} for layer in layers
    ]
    if entries and said.base_name:
        entries[0]["comment"] = f"FROM {said.base_name}"
    return entries


def derived_manifest(
    base: bytes,
    base_layers: Sequence[Descriptor],
    layers: Sequence[NewLayer],
    config: tuple[Digest, int],
    said: Derivation,
) -> bytes:
    """Return the manifest of the base with these layers on top.

    `base_layers` are the blobs of the base's layers, which keep the annotations that the base's
    manifest gives them. `config` is the new config's digest and size in bytes.
    """
    document = parse_document(base, "the base's manifest")
    known = array(document, "layers", "the base's manifest", [])
    kept = [{**old, **_descriptor(blob)} for old, blob in zip(known, base_layers, strict=True)]
    inherited = mapping(document, "annotations", "the base's manifest", {})
    ours = {_BASE_DIGEST: str(said.base_digest), _CREATED: said.created}
    if said.base_name:
        ours[_BASE_NAME] = said.base_name
    digest, size = config
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": str(digest), "size": size},
            "layers": [*kept, *(_descriptor(layer.blob) for layer in layers)],
            "annotations": {**inherited, **ours, **said.annotations},
        }
    )


def _descriptor(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}


def _json(document: Document) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
