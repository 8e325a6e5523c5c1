"""The records of a containers-storage store, overlay driver, as values.

Source: github.com/containers/storage: layers.go (`type Layer`), images.go (`type Image`,
`makeBigDataBaseName`), drivers/overlay/overlay.go; and containers/image
storage/storage_dest.go for which big data an image has.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.oci.media_type import Compression
from layers.storage.layer_id import link_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN_KEY = re.compile(r"[a-z0-9.]*")


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer in the store; sizes in bytes, `parents` ids nearest first."""

    id: str
    parents: tuple[str, ...]
    diff_id: Digest
    diff_size: int
    blob_digest: Digest
    blob_size: int
    compression: Compression
    uids: tuple[int, ...]
    gids: tuple[int, ...]

    @property
    def parent(self) -> str:
        """The id of the layer below, "" for a base."""
        return self.parents[0] if self.parents else ""

    def record(self) -> dict[str, object]:
        """The layer's object in layers.json."""
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
        # What `podman run --userns=auto` sizes the user namespace by.
        return fields | {"uidset": list(self.uids), "gidset": list(self.gids)}

    def link(self) -> bytes:
        """The file `link`: the layer's name under `overlay/l`."""
        return link_name(self.id).encode()

    def lower(self) -> bytes:
        """The file `lower`: the layers below as overlayfs is to stack them; none on a base."""
        return ":".join(f"l/{link_name(parent)}" for parent in self.parents).encode()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in the store; `big_data` maps keys to original bytes, `created` is RFC 3339."""

    id: str
    digest: Digest
    names: tuple[str, ...]
    top_layer: str
    created: str
    big_data: Mapping[str, bytes]

    def record(self) -> dict[str, object]:
        """The image's object in images.json."""
        keys = sorted(self.big_data)
        top = {"layer": self.top_layer} if self.top_layer else {}
        return {
            "id": self.id,
            "digest": str(self.digest),
            "names": list(self.names),
            **top,
            "metadata": "{}",
            "big-data-names": keys,
            "big-data-sizes": {key: len(self.big_data[key]) for key in keys},
            "big-data-digests": {key: str(Digest.of(self.big_data[key])) for key in keys},
            "created": self.created or "0001-01-01T00:00:00Z",  # Go's zero time
        }

    def files(self) -> dict[str, bytes]:
        """The big data under the names that their files have."""
        return {big_data_file(key): data for key, data in self.big_data.items()}


def big_data_file(key: str) -> str:
    """The file name of a big data key: the key itself if plain, or `=` and its base64."""
    if _PLAIN_KEY.fullmatch(key):
        return key
    return "=" + base64.b64encode(key.encode()).decode()
