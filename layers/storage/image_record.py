"""The images of a containers-storage store, read from its images.json.

`own_images` reads a store that we wrote, `any_images` any other; see
`layers.storage.layer_record`. Source of the fields: github.com/containers/storage, images.go
(`type Image`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import array, mapping, parse_document, parse_records, string, strings
from layers.errors import LayerError
from layers.storage.layer_record import any_id, own_digest, own_id
from layers.storage.records import KEPT_FROM

if TYPE_CHECKING:
    from layers.document import Document

_FILE = "images.json"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image of images.json.

    `known_digest` is the manifest's or index's, None where the record has none. `layer` is
    the id of the top layer, "" for an image without layers. `created` is RFC 3339, or "".
    `big_data` has the keys of its documents. `document` is the whole record.
    """

    id: str
    known_digest: Digest | None
    names: tuple[str, ...]
    layer: str
    created: str
    big_data: tuple[str, ...]
    document: Document

    @property
    def kept_from(self) -> str:
        """Return the release that left the image, "" for none. Raise LayerError if malformed."""
        flags = mapping(self.document, "flags", _FILE, {})
        return string(flags, KEPT_FROM, _FILE, "")

    @property
    def signature_sizes(self) -> dict[Digest, tuple[int, ...]]:
        """Return the bytes of each manifest's signatures. Raise LayerError if malformed."""
        metadata = string(self.document, "metadata", _FILE, "") or "{}"
        document = parse_document(metadata.encode(), f"{_FILE}: an image's metadata")
        sizes = mapping(document, "signatures-sizes", _FILE, {})
        return {
            Digest.parse(digest): tuple(map(_size, array(sizes, digest, _FILE))) for digest in sizes
        }

    @property
    def digest(self) -> Digest:
        """Return the manifest's or index's digest. Raise LayerError if the record has none."""
        if self.known_digest is None:
            raise LayerError(f"{_FILE}: image {self.id[:12]}: digest is missing")
        return self.known_digest


def own_images(raw: bytes) -> list[ImageRecord]:
    """Read the images.json of a store that we wrote, in its own order.

    Raise LayerError, which names the image, if a field is missing or malformed.
    """
    return [own_image(document) for document in parse_records(raw, _FILE)]


def own_image(document: Document) -> ImageRecord:
    """Read one record of a store that we wrote. Raise LayerError as `own_images` does."""
    what = f"{_FILE}: image {own_id(document, _FILE)[:12]}"
    return ImageRecord(
        own_id(document, what),
        own_digest(document, "digest", what),
        strings(document, "names", what),
        string(document, "layer", what, ""),
        string(document, "created", what),
        strings(document, "big-data-names", what),
        document,
    )


def any_images(raw: bytes) -> list[ImageRecord]:
    """Read the images.json of any store. Raise LayerError if a record is malformed."""
    return [
        ImageRecord(
            any_id(document, _FILE),
            None,
            strings(document, "names", _FILE),
            string(document, "layer", _FILE, ""),
            "",
            strings(document, "big-data-names", _FILE),
            document,
        )
        for document in parse_records(raw, _FILE)
    ]


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise LayerError(f"{_FILE}: a signature's size is not a number")
    return value
