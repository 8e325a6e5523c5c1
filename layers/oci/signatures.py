"""Find an image's signatures, simple ones and sigstore's, and read them.

A lookaside server has simple signatures at BASE/REPOSITORY@ALGORITHM=HEX/signature-N, N from 1,
where REPOSITORY is without the registry's host: containers-registries.d(5). Source:
github.com/containers/image docker/registries_d.go and docs/signature-protocols.md.

cosign pushes sigstore's signatures to the image's own repository, as an image whose layers are the
signed payloads; its tag `sha256-<hex>.sig` names the signed manifest. Source: sigstore/cosign
specs/SIGNATURE_SPEC.md. containers-storage keeps each as a line of JSON behind a magic:
github.com/containers/image internal/signature/signature.go and sigstore.go.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from yaml.nodes import MappingNode, Node, ScalarNode

from layers.digest import Digest
from layers.document import array, compact_json, integer, mapping, parse_document, string
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.manifest import Descriptor
from layers.yaml_text import NULL, decoded, documents, keys
from layers.yaml_text import string as scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from layers.document import Document
    from layers.oci.reference import ImageName

# As many as containers/image reads from a lookaside server.
MOST_SIGNATURES = 128
_DEFAULT = "default-docker"
_NAMESPACES = "docker"
# The older name comes second.
_KEYS = ("lookaside", "sigstore")
_MAGIC = b"\0sigstore-json\n"
# Go's encoding/json escapes these characters by default.
_ESCAPED = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def lookaside(files: Iterable[tuple[str, bytes]], name: ImageName) -> str | None:
    """Return the base URL of an image's simple signatures.

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


def signature_urls(base: str, name: ImageName, digest: Digest) -> Iterator[str]:
    """Yield the URLs of a manifest's signatures; the first that does not exist ends them."""
    repository = name.repository.partition("/")[2]
    place = f"{base.rstrip('/')}/{repository}@{digest.algorithm}={digest.hex}"
    return (f"{place}/signature-{number}" for number in range(1, MOST_SIGNATURES + 1))


def _namespaces(name: ImageName) -> Iterator[str]:
    """Yield the keys under which the image may be configured, the closest first."""
    yield str(name)
    parts = name.repository.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])
    labels = parts[0].split(".")
    for length in range(1, len(labels)):
        yield ".".join(["*", *labels[length:]])


def _url(section: Mapping[str, Node]) -> str | None:
    return next((url for key in _KEYS if (url := scalar(section.get(key)))), None)


def _mapping(node: Node | None, what: str) -> dict[str, Node]:
    """Return a mapping's values by key, {} for null. Raise LayerError for anything else."""
    if node is None or (isinstance(node, ScalarNode) and node.tag == NULL):
        return {}
    if not isinstance(node, MappingNode):
        raise LayerError(f"{what} has a value that is not a mapping")
    return keys(node)


@frozen
class Attachment:
    """A sigstore signature: the blob of the signed payload, and the annotations that hold the
    signature, None if there are none."""

    blob: Descriptor
    annotations: Mapping[str, str] | None

    def stored(self, payload: bytes) -> bytes:
        """Return the signature as containers-storage keeps it."""
        document = {
            "mimeType": self.blob.media_type,
            "payload": base64.b64encode(payload).decode(),
            "annotations": self.annotations and dict(sorted(self.annotations.items())),
        }
        return _MAGIC + compact_json(document).decode().translate(_ESCAPED).encode()


def attachment_tag(digest: Digest) -> str:
    """Return the tag that sigstore's signatures of a manifest have."""
    return f"{digest.algorithm}-{digest.hex}.sig"


def parse_attachments(raw: bytes) -> tuple[Attachment, ...]:
    """Parse the manifest of sigstore's signatures. Raise LayerError if it is malformed."""
    what = "the manifest of the signatures"
    layers = array(parse_document(raw, what), "layers", what)
    if len(layers) > MOST_SIGNATURES:
        raise LayerError(f"{what} has {len(layers)} signatures; {MOST_SIGNATURES} are the most")
    return tuple(_attachment(layer, what) for layer in layers)


def _attachment(layer: object, what: str) -> Attachment:
    if not isinstance(layer, dict):
        raise LayerError(f"{what} has a layer that is not an object")
    fields: Document = layer
    blob = Descriptor(
        string(fields, "mediaType", what),
        Digest.parse(fields.get("digest")),
        integer(fields, "size", what),
    )
    annotations = mapping(fields, "annotations", what, {})
    if not all(isinstance(value, str) for value in annotations.values()):
        raise LayerError(f"{what} has an annotation that is not a string")
    return Attachment(blob, annotations or None)
