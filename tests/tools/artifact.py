"""OCI artifacts in a registry: a manifest with a type of its own, and files in its blobs."""

import json
from collections.abc import Mapping
from typing import Any

from tests.tools.image import Blob
from tests.tools.layout import digest_of
from tests.tools.registry import Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = (b"{}", "application/vnd.oci.empty.v1+json")


def push_artifact(
    registry: Registry, name: str, files: Mapping[str, bytes], *config: Any, **how: Any
) -> str:
    """Uploads an artifact as `artifact_pushed` does; its reference."""
    artifact_pushed(registry, name, files, *config, **how)
    return f"{registry.host}/{name}"


def artifact_pushed(
    registry: Registry,
    name: str,
    files: Mapping[str, bytes],
    config: tuple[bytes, str] = EMPTY,
    *,
    kind: str | None = "application/x.model",
    annotations: Mapping[str, Any] | None = None,
) -> bytes:
    """Uploads an artifact with these files, by title, under `name`, NAME:TAG; its manifest.

    `config` is its content and media type. `kind` is the artifact's type.
    """
    repository, _, tag = name.partition(":")

    def blob(data: bytes, kind: str) -> dict[str, Any]:
        digest = registry.put_blob(repository, data)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    titles = "org.opencontainers.image.title"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "annotations": annotations,
        "config": blob(*config),
        "layers": [
            blob(data, "application/octet-stream") | {"annotations": {titles: title}}
            for title, data in files.items()
        ],
    }
    raw = json.dumps({key: value for key, value in manifest.items() if value is not None}).encode()
    registry.put_manifest(repository, tag, raw, Blob(digest_of(raw), len(raw), MANIFEST))
    return raw


def push_index(registry: Registry, repository: str) -> str:
    """Uploads an index of two artifacts, for amd64 and arm64, under the tag `1`; its digest. The
    file of each is the architecture's name."""
    members = []
    for arch in ("amd64", "arm64"):
        raw = artifact_pushed(registry, f"{repository}:{arch}", {"file": arch.encode()})
        member = {"mediaType": MANIFEST, "digest": digest_of(raw), "size": len(raw)}
        members.append(member | {"platform": {"os": "linux", "architecture": arch}})
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": members}
    raw = json.dumps(document).encode()
    registry.put_manifest(repository, "1", raw, Blob(digest_of(raw), len(raw), INDEX))
    return digest_of(raw)
