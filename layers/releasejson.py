"""A MicroShift release file, with the images of a newer release put in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from layers.document import Document, mapping, parse_document
from layers.errors import LayerError

if TYPE_CHECKING:
    from layers.release import Release


def updated(raw: bytes, release: Release, origin: str) -> bytes:
    """The file's new bytes: keys that it has and the release names are replaced, others stay.

    `release.base` becomes the release's version. LayerError if the file is none, or the
    release has none of its images.
    """
    document = parse_document(raw, origin)
    images = mapping(document, "images", origin)
    known = [name for name in images if name in release.components]
    if not known:
        raise LayerError(f"{origin} names no component of the release")
    images.update({name: release.components[name].pullspec for name in known})
    base = release.version or release.name
    if not base:
        raise LayerError(f"{origin}: no source says which release this is", hint="name it")
    document["release"] = {**mapping(document, "release", origin, {}), "base": base}
    return jq_text(document)


def jq_text(document: Document) -> bytes:
    """As `jq .` writes it: two spaces, keys in their order, no escapes but the needed ones."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f").encode() + b"\n"
