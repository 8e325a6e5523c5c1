"""What a containers-storage graphroot says of its layers and images.

`layers.storage.records` writes it.

Source: github.com/containers/storage, layers.go (`type Layer`, `incompleteFlag`) and
images.go (`type Image`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import array, integer, mapping, parse_records, string
from layers.errors import LayerError

if TYPE_CHECKING:
    from layers.document import Document


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer of layers.json; `parent` "" for a base, `diff_id` None where it was never known.

    The sizes in bytes are of the uncompressed tar, 0 where the record has none.
    """

    id: str
    parent: str
    diff_id: Digest | None
    diff_size: int
    complete: bool


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image of images.json; `top_layer` is "" for an image without layers."""

    id: str
    names: tuple[str, ...]
    top_layer: str
    big_data: tuple[str, ...]


def parse_layers(raw: bytes) -> dict[str, LayerRecord]:
    """overlay-layers/layers.json, by id; containers' own layers are among them."""
    records = [_layer(document) for document in parse_records(raw, "layers.json")]
    return {record.id: record for record in records}


def _layer(document: Document) -> LayerRecord:
    what = "layers.json"
    digest = string(document, "diff-digest", what, "")
    return LayerRecord(
        _id(document, what),
        string(document, "parent", what, ""),
        Digest.parse(digest) if digest else None,
        integer(document, "diff-size", what) if document.get("diff-size") else 0,
        not mapping(document, "flags", what, {}).get("incomplete"),
    )


def parse_images(raw: bytes) -> list[ImageRecord]:
    """overlay-images/images.json."""
    return [_image(document) for document in parse_records(raw, "images.json")]


def _image(document: Document) -> ImageRecord:
    what = "images.json"
    return ImageRecord(
        _id(document, what),
        tuple(_texts(array(document, "names", what, []), what)),
        string(document, "layer", what, ""),
        tuple(_texts(array(document, "big-data-names", what, []), what)),
    )


def _id(document: Document, what: str) -> str:
    """Ids are names of directories as well."""
    found = string(document, "id", what)
    if not found.isalnum() or not found.isascii():
        raise LayerError(f"{what}: {found[:80]!r} is not an id")
    return found


def _texts(values: list[object], what: str) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise LayerError(f"{what}: a name is not a string")
    return [str(value) for value in values]


def chain(layers: dict[str, LayerRecord], top: str) -> tuple[LayerRecord, ...] | None:
    """The layers from the base to `top`; None if one is missing or was never completed."""
    found: list[LayerRecord] = []
    while top:
        record = layers.get(top)
        if record is None or not record.complete or len(found) > len(layers):
            return None
        found.append(record)
        top = record.parent
    return tuple(reversed(found))
