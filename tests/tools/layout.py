"""An OCI image layout on disk (image-spec, image-layout.md)."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools.mediatype import OCI

REF_NAME = "org.opencontainers.image.ref.name"


def digest_of(data: bytes) -> str:
    """`sha256:` and the hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def json_bytes(document: object) -> bytes:
    """The one way we write JSON, so that the same document has the same digest."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Layout:
    """The directory of a layout; made when the first blob is put into it."""

    directory: Path

    def blob_path(self, digest: str) -> Path:
        """Where the blob of this digest lies."""
        algorithm, _, encoded = digest.partition(":")
        return self.directory / "blobs" / algorithm / encoded

    def put(self, data: bytes) -> str:
        """Stores a blob; returns its digest."""
        digest = digest_of(data)
        path = self.blob_path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest

    def tag(self, name: str, descriptor: dict[str, Any]) -> None:
        """Lets the tag `name` mean this manifest or index."""
        (self.directory / "oci-layout").write_bytes(json_bytes({"imageLayoutVersion": "1.0.0"}))
        index = self.directory / "index.json"
        listed = json.loads(index.read_bytes())["manifests"] if index.exists() else []
        kept = [one for one in listed if one.get("annotations", {}).get(REF_NAME) != name]
        named = descriptor | {"annotations": {REF_NAME: name}}
        document = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": [*kept, named]}
        index.write_bytes(json_bytes(document))
