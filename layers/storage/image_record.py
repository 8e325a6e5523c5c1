"""The images of a containers-storage store, read from its images.json and written.

`own_images` reads a store that we wrote, `any_images` any other; see
`layers.storage.layer_record`. A `StoredImage` is an image to write. Source: images.go
(`type Image`, `makeBigDataBaseName`) of github.com/containers/storage; and storage/storage_dest.go
of containers/image for the big data of an image.
"""

from __future__ import annotations

import base64
import re
from dataclasses import field
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import (
    array,
    compact_json,
    mapping,
    parse_document,
    parse_records,
    string,
    strings,
)
from layers.errors import LayerError
from layers.frozen import frozen
from layers.storage.layer_record import any_id, own_digest, own_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.document import Document

_FILE = "images.json"
# The flag of an image that an earlier release left; containers-storage ignores it (images.go,
# `Image.Flags`).
KEPT_FROM = "import-image.kept-from"
MANIFEST = "manifest-"  # the keys of manifests and indexes begin with it
SIGNATURE = "signature"  # the keys of signatures begin with it
# The key of a list made in the store: common/libimage/manifests/manifests.go, `instancesData`.
_INSTANCES = "instances.json"
_PLAIN_KEY = re.compile(r"[a-z0-9.]*")


@frozen
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
    def label(self) -> str:
        """Return the image's first name, or the beginning of its id."""
        return self.names[0] if self.names else self.id[:12]

    @property
    def is_list(self) -> bool:
        """Return whether it is no image: a list that `podman manifest create` or `podman build
        --manifest` made of other images."""
        return _INSTANCES in self.big_data

    @property
    def manifests(self) -> tuple[Digest, ...]:
        """Return the digests of its manifests and indexes. Raise LayerError if one is malformed."""
        keys = (key for key in self.big_data if key.startswith(MANIFEST))
        return tuple(Digest.parse(key.removeprefix(MANIFEST)) for key in keys)

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


@frozen
class StoredImage:
    """An image in the store.

    `big_data` maps keys to original bytes, `created` is RFC 3339, `kept_from` is the release
    that left the image, "" for one of the store's own release. `signatures` are by the digest of
    the signed manifest.
    """

    id: str
    digest: Digest
    names: tuple[str, ...]
    top_layer: str
    created: str
    big_data: Mapping[str, bytes]
    kept_from: str = ""
    signatures: Mapping[Digest, tuple[bytes, ...]] = field(default_factory=dict)

    @property
    def all_data(self) -> dict[str, bytes]:
        """Return the big data with the signatures.

        containers-storage keeps a manifest's signatures in one piece, and those of the image's own
        manifest a second time under `signatures`.
        """
        data = dict(self.big_data)
        for digest, signatures in self.signatures.items():
            data[f"{SIGNATURE}-{digest.hex}"] = b"".join(signatures)
        if own := self.signatures.get(self._manifest):
            data[f"{SIGNATURE}s"] = b"".join(own)
        return data

    @property
    def _manifest(self) -> Digest:
        return Digest.of(self.big_data["manifest"])

    def _metadata(self) -> str:
        """Return the sizes of the signatures in bytes, as containers/image keeps them.

        Source: storage/storage_image.go, `storageImageMetadata`.
        """
        by_manifest = sorted(self.signatures.items())
        own = [*map(len, self.signatures.get(self._manifest, ()))]
        sizes = {
            "signature-sizes": own,
            "signatures-sizes": {str(digest): [*map(len, many)] for digest, many in by_manifest},
        }
        return compact_json({key: value for key, value in sizes.items() if value}).decode()

    def record(self) -> dict[str, object]:
        """Return the image's object in images.json."""
        data = self.all_data
        keys = sorted(data)
        top = {"layer": self.top_layer} if self.top_layer else {}
        return {
            "id": self.id,
            "digest": str(self.digest),
            "names": list(self.names),
            **top,
            "metadata": self._metadata(),
            "big-data-names": keys,
            "big-data-sizes": {key: len(data[key]) for key in keys},
            "big-data-digests": {key: str(Digest.of(data[key])) for key in keys},
            "created": self.created or "0001-01-01T00:00:00Z",  # Go's zero time
            **({"flags": {KEPT_FROM: self.kept_from}} if self.kept_from else {}),
        }

    def files(self) -> dict[str, bytes]:
        """Return the big data under the names that their files have."""
        return {big_data_file(key): data for key, data in self.all_data.items()}


def big_data_file(key: str) -> str:
    """Return the file name of a big data key: the key itself if plain, or `=` and its base64."""
    if _PLAIN_KEY.fullmatch(key):
        return key
    return "=" + base64.b64encode(key.encode()).decode()
