"""Manifests and indexes, OCI's and docker's v2s2, with their original bytes."""

from __future__ import annotations

from layers.digest import Digest
from layers.document import Document, array, integer, mapping, parse_document, string
from layers.errors import LayerError, within
from layers.frozen import frozen
from layers.oci import media_type

# containers-storage keeps a layer's parents in one mount option; overlayfs stacks at most
# 500 lower layers (OVL_MAX_STACK, fs/overlayfs/params.c). podman refuses more as well.
MAX_LAYERS = 500


@frozen
class Descriptor:
    """A blob's media type, digest, and size in bytes."""

    media_type: str
    digest: Digest
    size: int

    @property
    def document(self) -> Document:
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}


@frozen
class Manifest:
    """The manifest of one image for one platform. `digest` is that of `raw`, the original bytes."""

    raw: bytes
    digest: Digest
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


@frozen
class Index:
    """An index or docker manifest list. skopeo chooses a platform from it."""

    raw: bytes
    digest: Digest
    media_type: str
    manifests: tuple[Descriptor, ...]

    def member(self, digest: Digest) -> Descriptor:
        """Return the descriptor with this digest. Raise LayerError if the index has none."""
        for descriptor in self.manifests:
            if descriptor.digest == digest:
                return descriptor
        raise LayerError(f"the index does not list {digest}", digest=str(self.digest))


def parse_manifest(
    raw: bytes, algorithm: str = "sha256", *, artifact: bool = False
) -> Manifest | Index:
    """Parse an image's manifest, or an artifact's, or an index. Raise LayerError for anything else,
    and for a document that could be read as both.

    Formats: image-spec manifest.md and image-index.md; docker "Image Manifest Version 2, Schema 2".
    `layers` and `manifests` exclude each other because of CVE-2021-41190.
    """
    document = parse_document(raw, "the manifest")
    _check_schema(document)
    digest = Digest.of(raw, algorithm)
    present = {key for key, value in document.items() if value is not None}
    if "manifests" in present and ("layers" in present or "config" in present):
        raise LayerError("the manifest could be read as an index, too", digest=str(digest))
    with within(digest=str(digest)):
        if "manifests" in present:
            return _index(raw, digest, document)
        return (_artifact if artifact else _image)(raw, digest, document)


def parse_single(raw: bytes, algorithm: str = "sha256", *, artifact: bool = False) -> Manifest:
    """Parse a manifest as `parse_manifest` does. Raise LayerError for an index."""
    manifest = parse_manifest(raw, algorithm, artifact=artifact)
    if isinstance(manifest, Index):
        raise LayerError("an index, where one manifest is expected", digest=str(manifest.digest))
    return manifest


def _check_schema(document: Document) -> None:
    if document.get("schemaVersion") == 1 or document.get("mediaType") in media_type.DOCKER_SCHEMA1:
        raise LayerError(
            "docker schema 1 manifests are not supported",
            hint="they have no config and no diffIDs; push the image again with a current tool",
        )
    if type(document.get("schemaVersion")) is not int or document["schemaVersion"] != 2:
        raise LayerError("the manifest's schemaVersion is not 2")


def _index(raw: bytes, digest: Digest, document: Document) -> Index:
    stated = string(document, "mediaType", "the index", "") or media_type.OCI_INDEX
    if stated not in media_type.INDEXES:
        raise LayerError(f"index media type {stated[:200]!r} is not known")
    members = array(document, "manifests", "the index")
    return Index(raw, digest, stated, tuple(_descriptor(m, "the index") for m in members))


def _image(raw: bytes, digest: Digest, document: Document) -> Manifest:
    config = _descriptor(mapping(document, "config", "the manifest"), "the manifest's config")
    implied = (
        media_type.DOCKER_MANIFEST
        if config.media_type == media_type.DOCKER_CONFIG
        else media_type.OCI_MANIFEST
    )
    stated = string(document, "mediaType", "the manifest", "") or implied
    if stated not in media_type.MANIFESTS:
        raise LayerError(f"manifest media type {stated[:200]!r} is not known")
    docker = document.get("mediaType") == media_type.DOCKER_MANIFEST
    configs = media_type.CONFIGS + (media_type.OLD_DOCKER_CONFIGS if docker else ())
    if config.media_type not in configs:
        raise LayerError(
            f"not a container image: its config is {config.media_type[:200]!r}",
            hint="artifacts (models, charts, …) have no root file system; --artifact takes them",
        )
    layers = _layers(document)
    if len(layers) > MAX_LAYERS:
        raise LayerError(f"the image has {len(layers)} layers; overlayfs stacks {MAX_LAYERS}")
    return Manifest(raw, digest, stated, config, layers)


def _artifact(raw: bytes, digest: Digest, document: Document) -> Manifest:
    """Parse a manifest that CRI-O takes for an artifact's (1.35.2 to August 2026,
    internal/ociartifact/store.go, `EnsureNotContainerImage`)."""
    config = _descriptor(mapping(document, "config", "the manifest"), "the manifest's config")
    stated = string(document, "mediaType", "the manifest", "") or media_type.OCI_MANIFEST
    if stated != media_type.OCI_MANIFEST:
        raise LayerError(f"an artifact's manifest has not the media type {stated[:200]!r}")
    kind = string(document, "artifactType", "the manifest", "")
    if not kind and config.media_type in ("", *media_type.CONFIGS):
        raise LayerError("a container image, not an artifact", hint="leave out --artifact")
    return Manifest(raw, digest, stated, config, _layers(document))


def _layers(document: Document) -> tuple[Descriptor, ...]:
    layers = array(document, "layers", "the manifest", [])
    return tuple(_descriptor(layer, f"layer {n}") for n, layer in enumerate(layers, 1))


def _descriptor(value: object, what: str) -> Descriptor:
    if not isinstance(value, dict):
        raise LayerError(f"{what}: a descriptor is not a JSON object")
    return Descriptor(
        string(value, "mediaType", what, ""),
        Digest.parse(value.get("digest")),
        integer(value, "size", what),
    )
