"""Read the records of Docker's own store, and make the manifest that Docker does not keep.

Source: github.com/moby/moby image/store.go, image/fs.go (imagedb), layer/filestore.go (layerdb) and
reference/store.go (repositories.json).
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import compact_json, mapping, parse_document
from layers.errors import LayerError
from layers.oci import media_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PLAIN_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def parse_repositories(raw: bytes) -> dict[Digest, tuple[str, ...]]:
    """Return each image's names, written out in full, from repositories.json. Raise LayerError if
    it is malformed."""
    names: dict[Digest, list[str]] = {}
    repositories = mapping(parse_document(raw, "repositories.json"), "Repositories", "it")
    for references in repositories.values():
        if not isinstance(references, dict):
            raise LayerError("repositories.json has a repository that is not an object")
        for name, image in references.items():
            names.setdefault(Digest.parse(image), []).append(qualified(name))
    return {image: tuple(sorted(its_names)) for image, its_names in names.items()}


def qualified(name: str) -> str:
    """Return a name with the `docker.io/` and `library/` that Docker leaves out.

    Source: github.com/distribution/reference normalize.go, `splitDockerDomain`.
    """
    host, slash, rest = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    if host == "docker.io" and "/" not in rest:
        return f"docker.io/library/{rest}"
    is_host = "." in host or ":" in host or host == "localhost" or host.lower() != host
    return name if is_host else f"docker.io/{name}"


def chain_ids(diff_ids: Iterable[Digest]) -> tuple[Digest, ...]:
    """Return the chainID of each layer, base first: image-spec config.md, "Layer ChainID"."""
    return tuple(accumulate(diff_ids, lambda above, own: Digest.of(f"{above} {own}".encode())))


def manifest_for(config: bytes, layers: Sequence[tuple[Digest, int]]) -> bytes:
    """Return a docker v2s2 manifest of this config and these uncompressed layers (diffID, size).

    The registry's own manifest named compressed blobs. Docker keeps neither, so this manifest has
    another digest.
    """
    document = {
        "schemaVersion": 2,
        "mediaType": media_type.DOCKER_MANIFEST,
        "config": {
            "mediaType": media_type.DOCKER_CONFIG,
            "size": len(config),
            "digest": str(Digest.of(config)),
        },
        "layers": [
            {"mediaType": _PLAIN_LAYER, "size": size, "digest": str(diff_id)}
            for diff_id, size in layers
        ],
    }
    return compact_json(document)
