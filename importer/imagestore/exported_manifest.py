"""The manifest of an exported image: the original one if its layers are plain tars, else a new one.

A tar cannot be compressed into the same bytes again. So the manifest of compressed layers cannot be
kept, nor its signatures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.files.oci_layout import manifest
from layers.digest import Digest
from layers.oci.media_type import OCI_CONFIG, TAR_LAYER, Compression, layer_compression

if TYPE_CHECKING:
    from collections.abc import Container

    from importer.store.image import ImageView
    from layers.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ExportedManifest:
    """A manifest's bytes, their digest, and the config's digest in it.

    `original` is true if the image came with it.
    """

    raw: bytes
    digest: Digest
    config: Digest
    original: bool


def exported_manifest(image: ImageView, media_types: Container[str]) -> ExportedManifest:
    """Return the manifest for the image's uncompressed layers.

    An original manifest is taken if it names these layers and is of one of the media types.
    """
    for one in image.manifests:
        if one.media_type in media_types and _names_tars(one, image):
            return ExportedManifest(one.raw, one.digest, one.config.digest, original=True)
    annotations = json.loads(image.manifest.raw).get("annotations")
    layers = [(TAR_LAYER, layer.diff_id, layer.diff_size) for layer in image.layers]
    raw = manifest(OCI_CONFIG, image.config.raw, layers, annotations)
    return ExportedManifest(raw, Digest.of(raw), Digest.of(image.config.raw), original=False)


def _names_tars(manifest: Manifest, image: ImageView) -> bool:
    """Return whether the manifest's blobs are the layers' tars."""
    named = [(layer.digest, layer_compression(layer.media_type)) for layer in manifest.layers]
    return named == [(layer.diff_id, Compression.NONE) for layer in image.layers]
