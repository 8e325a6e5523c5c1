"""Sigstore signatures of an image, as cosign attaches them and as containers-storage keeps them.

cosign pushes them to the image's own repository: an image whose layers are the signed payloads,
tagged `sha256-<hex>.sig` after the manifest that they sign. Source: sigstore/cosign
specs/SIGNATURE_SPEC.md. containers-storage keeps each as a line of JSON behind a magic:
github.com/containers/image internal/signature/signature.go and sigstore.go.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import array, integer, mapping, parse_document, string
from layers.errors import LayerError
from layers.oci.manifest import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.document import Document

_MAGIC = b"\0sigstore-json\n"
# As many as containers/image reads from a lookaside server.
MOST_SIGNATURES = 128
# Go's encoding/json writes these so, by default.
_ESCAPED = {one: f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A signed payload's blob, and the annotations with its signature; None for none."""

    blob: Descriptor
    annotations: Mapping[str, str] | None

    def stored(self, payload: bytes) -> bytes:
        """Return the signature as containers-storage keeps it."""
        document = {
            "mimeType": self.blob.media_type,
            "payload": base64.b64encode(payload).decode(),
            "annotations": self.annotations and dict(sorted(self.annotations.items())),
        }
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        return _MAGIC + "".join(_ESCAPED.get(one, one) for one in text).encode()


def attachment_tag(digest: Digest) -> str:
    """Return the tag of the signatures of a manifest."""
    return f"{digest.algorithm}-{digest.hex}.sig"


def parse_attachments(raw: bytes) -> tuple[Attachment, ...]:
    """Read the manifest of the signatures. Raise LayerError if it is malformed."""
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
