"""Compute the record that a layer of a store must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.oci.media_type import layer_compression
from layers.storage.records import StoredLayer

if TYPE_CHECKING:
    from layers.document import Document
    from layers.oci.manifest import Descriptor
    from layers.storage.layer_record import LayerRecord


def expected_record(
    record: LayerRecord,
    blobs: list[Descriptor],
    tar_size: int,
    ids: tuple[tuple[int, ...], tuple[int, ...]],
) -> Document:
    """Return the record that a layer must have.

    If manifests name several blobs for the layer, the record may name any of these: an import takes
    the one with the smallest digest, but a merged store keeps the one that it has. If no manifest
    names a blob for the layer, the record's own fields about the blob are the expected ones.
    """
    named = [blob for blob in blobs if blob.digest == record.blob_digest]
    blob = min(named or blobs, key=lambda blob: blob.digest, default=None)
    try:
        compression = layer_compression(blob.media_type) if blob else record.compression
    except LayerError:
        compression = record.compression
    return StoredLayer(
        record.id,
        (record.parent,) if record.parent else (),
        record.diff_id,
        tar_size,
        blob.digest if blob else record.blob_digest,
        blob.size if blob else record.blob_size,
        compression,
        *ids,
    ).record()
