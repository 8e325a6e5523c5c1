"""Merge the records of two stores, when images are added to an existing store.

Existing records stay as they are, including fields that we do not write: a layer of the same id
is the same layer. An image of the same id has the same config, so it gets the names and manifests
of both. A name belongs to one image, the one that came last, as when podman tags an image.

An image of the same id has other layers if one of the two is flattened. It has one top layer,
ours; its old layers are removed, unless another image needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.document import compact_json, mapping, parse_records, string, strings
from layers.errors import LayerError
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set

    from layers.document import Document
    from layers.storage.image_record import StoredImage
    from layers.storage.layer_record import StoredLayer

_LAYERS = "the existing layers.json"
_IMAGES = "the existing images.json"
_NOTHING = "{}"


@frozen
class StoreUnion:
    """The contents of layers.json and images.json. `replaced` are the ids of layers that are no
    longer needed."""

    layers: bytes
    images: bytes
    replaced: frozenset[str]


def store_union(
    layers: bytes | None,
    images: bytes | None,
    added_layers: Iterable[StoredLayer],
    added_images: Iterable[StoredImage],
) -> StoreUnion:
    """Merge the two files of a store, None for a missing one, with the added layers and images.
    Raise LayerError if a record is malformed."""
    ordered = sorted(added_layers, key=lambda layer: (len(layer.parents), layer.id))
    records = [layer.record() for layer in ordered]
    return record_union(layers, images, records, [image.record() for image in added_images])


def record_union(
    layers: bytes | None,
    images: bytes | None,
    added_layers: Iterable[Document],
    added_images: Iterable[Document],
) -> StoreUnion:
    """Merge as `store_union` does, given the added records, the layers' parents first."""
    before = _records(images, _IMAGES)
    after = _images(before, added_images)
    both = _layers(_records(layers, _LAYERS), added_layers)
    replaced = _replaced(_tops(before), _tops(after), both)
    kept = [record for record in both if record["id"] not in replaced]
    return StoreUnion(compact_json(kept), compact_json(after), replaced)


def _layers(present: list[Document], added: Iterable[Document]) -> list[Document]:
    """Return the records of all layers, parents before children."""
    ids = {record["id"] for record in present}
    return [*present, *(record for record in added if record["id"] not in ids)]


def _images(present: list[Document], added: Iterable[Document]) -> list[Document]:
    """Return the records of all images, by id."""
    images = {record["id"]: record for record in added}
    taken = {name for record in images.values() for name in strings(record, "names", _IMAGES)}
    records = {record["id"]: _without(record, taken) for record in present}
    for image_id, record in images.items():
        records[image_id] = _union(records.get(image_id, {}), record)
    return [records[image_id] for image_id in sorted(records)]


def _replaced(before: Set[str], after: Set[str], layers: Iterable[Document]) -> frozenset[str]:
    """Return the layers that only former top layers need. Keep the layers of other images, and of
    none, such as a container's, or one that is being pulled."""
    parents = {record["id"]: string(record, "parent", _LAYERS, "") for record in layers}
    lost = _with_parents(before - after, parents)
    needed = _with_parents(after | (parents.keys() - lost), parents)
    return frozenset(lost - needed)


def _tops(images: Iterable[Document]) -> set[str]:
    """Return the layers that images name. containers-storage keeps copies of a top layer for other
    user namespaces (images.go, `MappedTopLayers`)."""
    tops: set[str] = set()
    for record in images:
        tops.add(string(record, "layer", _IMAGES, ""))
        tops.update(strings(record, "mapped-layers", _IMAGES))
    return tops


def _with_parents(ids: Iterable[str], parents: Mapping[str, str]) -> set[str]:
    """Return these layers and all below them."""
    chains: set[str] = set()
    for layer in ids:
        below = layer
        while below in parents and below not in chains:
            chains.add(below)
            below = parents[below]
    return chains


def recorded_ids(raw: bytes | None, what: str) -> set[str]:
    """Return the ids in layers.json or images.json; none if there is no such file."""
    return {record["id"] for record in _records(raw, what)}


def _records(raw: bytes | None, what: str) -> list[Document]:
    empty = raw is None or raw.strip() in (b"", b"null")
    records = [] if raw is None or empty else parse_records(raw, what)
    if not all(isinstance(record.get("id"), str) for record in records):
        raise LayerError(f"{what} has a record without an id")
    return records


def _without(record: Document, names: set[str]) -> Document:
    kept = [name for name in strings(record, "names", _IMAGES) if name not in names]
    return record | {"names": kept}


def _union(present: Document, added: Document) -> Document:
    """Return our record, with the names and big data that only the other record has."""
    both = present | added
    if added["metadata"] == _NOTHING:  # the signatures that the other one has stay
        both["metadata"] = present.get("metadata", _NOTHING)
    both["names"] = sorted({*strings(present, "names", _IMAGES), *added["names"]})
    for field in ("big-data-sizes", "big-data-digests"):
        both[field] = mapping(present, field, _IMAGES, {}) | added[field]
    both["big-data-names"] = sorted(both["big-data-sizes"])
    return both
