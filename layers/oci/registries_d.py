"""Find the URL of the simple signatures of a registry's images: containers-registries.d(5).

A lookaside server has them at BASE/REPOSITORY@ALGORITHM=HEX/signature-N, N from 1, where
REPOSITORY is without the registry's host. Source: github.com/containers/image
docker/registries_d.go and docs/signature-protocols.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from yaml.nodes import MappingNode, Node, ScalarNode

from layers.errors import LayerError
from layers.yaml_text import NULL, decoded, documents, keys, string

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from layers.digest import Digest
    from layers.oci.reference import ImageName

_DEFAULT = "default-docker"
_NAMESPACES = "docker"
# The older name comes second.
_KEYS = ("lookaside", "sigstore")


def lookaside(files: Iterable[tuple[str, bytes]], name: ImageName) -> str | None:
    """Return the URL that an image's signatures are below, without its repository.

    `files` are the names and contents of a registries.d directory. Return None if no file names
    a server for the image. Raise LayerError if a file is not YAML, or not of this format.
    """
    default: dict[str, Node] = {}
    namespaces: dict[str, Node] = {}
    for file, raw in files:
        document = _mapping(next(iter(documents(decoded(raw, file), file)), None), file)
        default |= _mapping(document.get(_DEFAULT), file)
        namespaces |= _mapping(document.get(_NAMESPACES), file)
    for namespace in _namespaces(name):
        if namespace in namespaces:
            return _url(_mapping(namespaces[namespace], namespace)) or _url(default)
    return _url(default)


def signature_urls(base: str, name: ImageName, digest: Digest, most: int) -> Iterator[str]:
    """Yield the URLs of a manifest's signatures; the first that does not exist ends them."""
    repository = name.repository.partition("/")[2]
    place = f"{base.rstrip('/')}/{repository}@{digest.algorithm}={digest.hex}"
    return (f"{place}/signature-{number}" for number in range(1, most + 1))


def _namespaces(name: ImageName) -> Iterator[str]:
    """Yield what may be configured for the image, the closest first."""
    yield str(name)
    parts = name.repository.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])
    labels = parts[0].split(".")
    for length in range(1, len(labels)):
        yield ".".join(["*", *labels[length:]])


def _url(section: Mapping[str, Node]) -> str | None:
    return next((url for key in _KEYS if (url := string(section.get(key)))), None)


def _mapping(node: Node | None, what: str) -> dict[str, Node]:
    """Return a mapping's values, none for null. Raise LayerError for anything else."""
    if node is None or (isinstance(node, ScalarNode) and node.tag == NULL):
        return {}
    if not isinstance(node, MappingNode):
        raise LayerError(f"{what} has a value that is not a mapping")
    return keys(node)
