"""The records of our own store, read back strictly; `layers.storage.records` writes them.

Other stores' records may lack what ours always have, so a reader of those asks for less.
Source of the fields: github.com/containers/storage, layers.go and images.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layers.digest import Digest
from layers.document import array, integer, parse_records, string
from layers.errors import LayerError
from layers.oci.media_type import Compression, layer_compression

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.document import Document
    from layers.oci.manifest import Descriptor


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer of layers.json; `parent` is "" for a base, sizes are in bytes.

    `document` is the whole record, with whatever fields it has.
    """

    id: str
    parent: str
    diff_id: Digest
    diff_size: int
    blob_digest: Digest
    blob_size: int
    compression: Compression
    document: Document


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image of images.json; `layer` is "" for an image without layers."""

    id: str
    digest: Digest
    names: tuple[str, ...]
    layer: str
    created: str
    big_data: tuple[str, ...]
    document: Document


def layer_records(raw: bytes) -> list[LayerRecord]:
    """overlay-layers/layers.json in its own order; LayerError, naming the id, if it is not so."""
    return [layer_record(document) for document in parse_records(raw, "layers.json")]


def layer_record(document: Document) -> LayerRecord:
    """One of them."""
    what = f"layers.json: layer {_id(document, 'layers.json')[:12]}"
    return LayerRecord(
        _id(document, what),
        string(document, "parent", what, ""),
        _digest(document, "diff-digest", what),
        integer(document, "diff-size", what),
        _digest(document, "compressed-diff-digest", what),
        integer(document, "compressed-size", what),
        _compression(document, what),
        document,
    )


def _compression(document: Document, what: str) -> Compression:
    value = document.get("compression", 0)
    if value not in [kind.value for kind in Compression]:
        raise LayerError(f"{what}: compression {str(value)[:20]} is not known")
    return Compression(value)


def image_records(raw: bytes) -> list[ImageRecord]:
    """overlay-images/images.json in its own order; LayerError, naming the id, if it is not so."""
    return [image_record(document) for document in parse_records(raw, "images.json")]


def image_record(document: Document) -> ImageRecord:
    """One of them."""
    what = f"images.json: image {_id(document, 'images.json')[:12]}"
    return ImageRecord(
        _id(document, what),
        _digest(document, "digest", what),
        _texts(document, "names", what),
        string(document, "layer", what, ""),
        string(document, "created", what),
        _texts(document, "big-data-names", what),
        document,
    )


def _id(document: Document, what: str) -> str:
    """Ids are names of directories, too."""
    found = string(document, "id", what)
    if len(found) != 64 or set(found) - set("0123456789abcdef"):
        raise LayerError(f"{what}: {found[:80]!r} is not an id of 64 hex digits")
    return found


def _digest(document: Document, key: str, what: str) -> Digest:
    try:
        return Digest.parse(document.get(key))
    except LayerError as error:
        raise LayerError(f"{what}: {key}: {error.message}") from None


def _texts(document: Document, key: str, what: str) -> tuple[str, ...]:
    values: list[Any] = array(document, key, what, [])
    if not all(isinstance(value, str) for value in values):
        raise LayerError(f"{what}: {key} is not a list of strings")
    return tuple(values)


def chain(layers: dict[str, LayerRecord], top: str) -> tuple[LayerRecord, ...]:
    """The layers from the base to `top`; LayerError if one is missing, or its own ancestor."""
    found: list[LayerRecord] = []
    while top:
        if top not in layers:
            raise LayerError(f"layers.json has no layer {top}")
        if len(found) == len(layers):
            raise LayerError(f"layer {top} is one of its own parents")
        found.append(layers[top])
        top = layers[top].parent
    return tuple(reversed(found))


def with_blob(record: LayerRecord, blobs: Iterable[Descriptor]) -> Document:
    """The layer's record as it is when only these are its blobs: the one with the smallest
    digest is named, as `importer.store.writer` does. Without any it stays as it is."""
    blob = min(blobs, key=lambda blob: blob.digest, default=None)
    if blob is None or blob.digest == record.blob_digest:
        return record.document
    changed: Document = {}
    for key, value in record.document.items():
        if key != "compression":
            changed[key] = value
        if key == "diff-size" and (kind := layer_compression(blob.media_type).value):
            changed["compression"] = kind
    return changed | {"compressed-diff-digest": str(blob.digest), "compressed-size": blob.size}


def records_json(records: Iterable[Document]) -> bytes:
    """layers.json or images.json, of records in the order that they are to have."""
    return json.dumps(list(records), separators=(",", ":"), ensure_ascii=False).encode()
