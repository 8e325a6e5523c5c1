"""The layers of a containers-storage store, read from its layers.json and written.

`own_layers` reads a store that we wrote, and requires every field that we write. `any_layers`
reads a store of podman's, CRI-O's or Docker's, in which most fields may be missing.
A `StoredLayer` is a layer to write.

Source of the fields: github.com/containers/storage, layers.go (`type Layer`,
`incompleteFlag`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import integer, mapping, parse_records, string
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.media_type import Compression, layer_compression
from layers.storage.layer_id import child_id
from layers.storage.mounted import lower_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from layers.document import Document
    from layers.oci.manifest import Descriptor
    from layers.storage.mounted import MountedTree

_FILE = "layers.json"
_HEX = frozenset("0123456789abcdef")


@frozen
class LayerRecord:
    """A layer of layers.json.

    `parent` is "" for a base. The sizes are in bytes, 0 where the record has none. `diff` and
    `blob` are the digests of the uncompressed tar and of the compressed one, None where the
    record has none. `document` is the whole record.
    """

    id: str
    parent: str
    diff: Digest | None
    diff_size: int
    blob: Digest | None
    blob_size: int
    compression: Compression
    complete: bool
    document: Document

    @property
    def diff_id(self) -> Digest:
        """Return the digest of the uncompressed tar. Raise LayerError if the record has none."""
        return self._stated("diff-digest", self.diff)

    @property
    def blob_digest(self) -> Digest:
        """Return the digest of the compressed tar. Raise LayerError if the record has none."""
        return self._stated("compressed-diff-digest", self.blob)

    def _stated(self, key: str, digest: Digest | None) -> Digest:
        if digest is None:
            raise LayerError(f"{_FILE}: layer {self.id[:12]}: {key} is missing")
        return digest


def own_layers(raw: bytes) -> list[LayerRecord]:
    """Read the layers.json of a store that we wrote, in its own order.

    Raise LayerError, which names the layer, if a field is missing or malformed.
    """
    return [own_layer(document) for document in parse_records(raw, _FILE)]


def own_layer(document: Document) -> LayerRecord:
    """Read one record of a store that we wrote. Raise LayerError as `own_layers` does."""
    what = f"{_FILE}: layer {own_id(document, _FILE)[:12]}"
    return LayerRecord(
        own_id(document, what),
        string(document, "parent", what, ""),
        own_digest(document, "diff-digest", what),
        integer(document, "diff-size", what),
        own_digest(document, "compressed-diff-digest", what),
        integer(document, "compressed-size", what),
        _compression(document, what),
        True,
        document,
    )


def any_layers(raw: bytes) -> dict[str, LayerRecord]:
    """Read the layers.json of any store, by layer id; containers' layers are among them.

    Raise LayerError if a record is malformed.
    """
    records = map(_any_layer, parse_records(raw, _FILE))
    return {record.id: record for record in records}


def _any_layer(document: Document) -> LayerRecord:
    diff = string(document, "diff-digest", _FILE, "")
    return LayerRecord(
        any_id(document, _FILE),
        string(document, "parent", _FILE, ""),
        Digest.parse(diff) if diff else None,
        integer(document, "diff-size", _FILE) if document.get("diff-size") else 0,
        None,
        0,
        Compression.NONE,
        not mapping(document, "flags", _FILE, {}).get("incomplete"),
        document,
    )


def chain(layers: Mapping[str, LayerRecord], top: str) -> tuple[LayerRecord, ...]:
    """Return the layers from the base to `top`, a layer id; none for "".

    Raise LayerError if one is missing, or is its own ancestor.
    """
    records: list[LayerRecord] = []
    while top:
        if top not in layers:
            raise LayerError(f"{_FILE} has no layer {top}")
        if len(records) == len(layers):
            raise LayerError(f"layer {top} is one of its own parents")
        records.append(layers[top])
        top = layers[top].parent
    return tuple(reversed(records))


def complete_chain(layers: Mapping[str, LayerRecord], top: str) -> tuple[LayerRecord, ...] | None:
    """Return the layers from the base to `top`, or None if one is missing or incomplete."""
    try:
        records = chain(layers, top)
    except LayerError:
        return None
    return records if all(record.complete for record in records) else None


def standard_ids(layers: Mapping[str, LayerRecord]) -> dict[str, str]:
    """Return the standard id of each layer, by the layer's id in the store.

    The standard id follows from the diffIDs of the layer and of its parents. A layer is left out if
    one of these is missing in the store, or if the layer is its own ancestor.
    """
    standard: dict[str, str] = {}
    for layer_id in layers:
        path: list[LayerRecord] = []
        above = layer_id
        while above and above not in standard and above in layers and len(path) <= len(layers):
            path.append(layers[above])
            above = layers[above].parent
        for record in reversed(path):
            below = standard.get(record.parent)
            if record.diff is None or (record.parent and below is None):
                break
            standard[record.id] = child_id(below, record.diff) if below else record.diff.hex
    return standard


def with_blob(record: LayerRecord, blobs: Iterable[Descriptor]) -> Document:
    """Return a layer's record that names the blob with the smallest digest, as
    `importer.store.writer` does.

    `blobs` are all blobs that the layer's images name; without any the record stays unchanged.
    """
    blob = min(blobs, key=lambda blob: blob.digest, default=None)
    if blob is None or blob.digest == record.blob:
        return record.document
    changed: Document = {}
    for key, value in record.document.items():
        if key != "compression":
            changed[key] = value
        if key == "diff-size" and (kind := layer_compression(blob.media_type).value):
            changed["compression"] = kind
    return changed | {"compressed-diff-digest": str(blob.digest), "compressed-size": blob.size}


def own_id(document: Document, what: str) -> str:
    """Return a record's id. Raise LayerError unless it is 64 hex digits; it names directories."""
    record_id = string(document, "id", what)
    if len(record_id) != 64 or set(record_id) - _HEX:
        raise LayerError(f"{what}: {record_id[:80]!r} is not an id of 64 hex digits")
    return record_id


def any_id(document: Document, what: str) -> str:
    """Return a record's id. Raise LayerError unless it is alphanumeric; it names directories."""
    record_id = string(document, "id", what)
    if not record_id.isalnum() or not record_id.isascii():
        raise LayerError(f"{what}: {record_id[:80]!r} is not an id")
    return record_id


def own_digest(document: Document, key: str, what: str) -> Digest:
    """Return the digest under a key. Raise LayerError, which names the key, if it is none."""
    try:
        return Digest.parse(document.get(key))
    except LayerError as error:
        raise LayerError(f"{what}: {key}: {error.message}") from None


def _compression(document: Document, what: str) -> Compression:
    value = document.get("compression", 0)
    if value not in [kind.value for kind in Compression]:
        raise LayerError(f"{what}: compression {str(value)[:20]} is not known")
    return Compression(value)


@frozen
class StoredLayer:
    """A layer in the store.

    Sizes are in bytes. `parents` has the store's ids of the layers below, nearest first.
    `mounted` has the layer's own tree and the trees that are mounted below: its blocker, then its
    parents, each with its blocker, down to the nearest cut layer.
    """

    id: str
    parents: tuple[str, ...]
    diff_id: Digest
    diff_size: int
    blob_digest: Digest
    blob_size: int
    compression: Compression
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    mounted: tuple[MountedTree, ...] = ()

    @property
    def parent(self) -> str:
        """Return the id of the layer below, "" for a base."""
        return self.parents[0] if self.parents else ""

    def record(self) -> dict[str, object]:
        """Return the layer's object in layers.json."""
        fields: dict[str, object] = {"id": self.id}
        if self.parent:
            fields["parent"] = self.parent
        fields |= {
            "compressed-diff-digest": str(self.blob_digest),
            "compressed-size": self.blob_size,
            "diff-digest": str(self.diff_id),
            "diff-size": self.diff_size,
        }
        if self.compression is not Compression.NONE:
            fields["compression"] = self.compression.value
        # `podman run --userns=auto` sizes the user namespace by these.
        return fields | {"uidset": list(self.uids), "gidset": list(self.gids)}

    def lower_files(self) -> dict[str, bytes]:
        """Return the files that list the layers below: none for a base and for a cut layer."""
        return lower_files(self.mounted[1:])
