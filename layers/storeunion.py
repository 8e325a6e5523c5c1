"""The records of two stores as those of one, when images are added to a store that is there.

What is there keeps its records as they are, fields that we do not write included: a layer
of the same id is the same layer. An image of the same id is the same config, so it gets
the names and manifests of both. A name belongs to one image, the one that came last, as
when podman tags an image.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from layers.document import array, mapping, parse_records
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.document import Document
    from layers.storage import StoredImage, StoredLayer

_LAYERS = "the existing layers.json"
_IMAGES = "the existing images.json"


def layers_union(present: bytes, added: Iterable[StoredLayer]) -> bytes:
    """layers.json; parents still come before their children."""
    records = _records(present, _LAYERS)
    known = {record["id"] for record in records}
    ordered = sorted(added, key=lambda layer: (len(layer.parents), layer.id))
    return _json([*records, *(layer.record() for layer in ordered if layer.id not in known)])


def images_union(present: bytes, added: Iterable[StoredImage]) -> bytes:
    """images.json, ordered by id."""
    images = {image.id: image for image in added}
    taken = {name for image in images.values() for name in image.names}
    found = {record["id"]: _without(record, taken) for record in _records(present, _IMAGES)}
    for image in images.values():
        found[image.id] = _union(found.get(image.id, {}), image.record())
    return _json([found[image_id] for image_id in sorted(found)])


def recorded_ids(raw: bytes | None, what: str) -> set[str]:
    """The ids that layers.json or images.json has; none where there is no such file."""
    return {record["id"] for record in _records(raw, what)} if raw is not None else set()


def _records(raw: bytes, what: str) -> list[Document]:
    records = parse_records(raw, what) if raw.strip() not in (b"", b"null") else []
    if not all(isinstance(record.get("id"), str) for record in records):
        raise LayerError(f"{what} has a record without an id")
    return records


def _without(record: Document, names: set[str]) -> Document:
    kept = [name for name in array(record, "names", _IMAGES, []) if name not in names]
    return record | {"names": kept}


def _union(present: Document, added: dict[str, Any]) -> Document:
    """Ours, and what only the other one has."""
    both = present | added
    both["names"] = sorted({*array(present, "names", _IMAGES, []), *added["names"]}, key=str)
    for field in ("big-data-sizes", "big-data-digests"):
        both[field] = mapping(present, field, _IMAGES, {}) | added[field]
    both["big-data-names"] = sorted(both["big-data-sizes"])
    return both


def _json(records: list[Document]) -> bytes:
    return json.dumps(records, separators=(",", ":"), ensure_ascii=False).encode()
