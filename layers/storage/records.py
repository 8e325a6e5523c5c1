"""The records of a containers-storage store, overlay driver, as values.

Source: github.com/containers/storage: layers.go (`type Layer`), images.go (`type Image`,
`makeBigDataBaseName`), drivers/overlay/overlay.go; and containers/image
storage/storage_dest.go for which big data an image has.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import compact_json
from layers.oci.media_type import Compression
from layers.storage.mounted import lower_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.storage.mounted import MountedTree

# The flag of an image that an earlier release left; containers-storage ignores it (images.go,
# `Image.Flags`).
KEPT_FROM = "import-image.kept-from"
# The keys of signatures begin with it.
SIGNATURE = "signature"
_PLAIN_KEY = re.compile(r"[a-z0-9.]*")


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
