"""The lock file: the images that a release's pullspecs resolved to.

The file contains the images' manifests and configs, byte for byte, so that an import by a lock
fetches only blobs. Digests are verified when the file is read.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from layers.digest import Digest
from layers.document import Document, integer, mapping, parse_document, string
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.config import parse_config
from layers.oci.manifest import Index, Manifest, parse_manifest
from layers.release.release import Component, Release, components
from layers.storage.image import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMAT = 1
# Of some hundred images, each with a manifest and a config of the usual size.
MAX_LOCK_SIZE = 64 << 20


@frozen
class Locked:
    """A release for one architecture, and its images by component."""

    release: Release
    images: Mapping[str, Image]


def lock_document(locked: Mapping[str, Locked]) -> bytes:
    """Return the lock file of these releases, by architecture."""
    documents: dict[str, str] = {}
    for each in locked.values():
        for image in each.images.values():
            documents |= {str(digest): raw.decode() for digest, raw in _raw(image).items()}
    whole = {
        "import-release-lock": _FORMAT,
        "releases": {arch: _release(each) for arch, each in locked.items()},
        "documents": documents,
    }
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _raw(image: Image) -> dict[Digest, bytes]:
    raw = {image.manifest.digest: image.manifest.raw}
    if image.index:
        raw[image.index.digest] = image.index.raw
    return raw | {image.manifest.config.digest: image.config.raw}


def _release(locked: Locked) -> dict[str, Any]:
    release = locked.release
    return {
        "name": release.name,
        "version": release.version,
        "stream": release.stream,
        "images": {
            name: _image(release.components[name], image) for name, image in locked.images.items()
        },
    }


def _image(component: Component, image: Image) -> dict[str, str]:
    check_lockable(component)
    index = {"index": str(image.index.digest)} if image.index else {}
    fields = replace(component, digest="").fields()
    return fields | index | {"manifest": str(image.manifest.digest)}


def check_lockable(component: Component) -> None:
    """Raise LayerError for an image in no registry: its reference may name another later."""
    if component.reference.transport != "docker":
        raise LayerError(
            f"{component.pullspec} is in no registry, so it cannot be locked",
            hint="push it to one, or leave --lock out",
        )


def parse_lock(raw: bytes, origin: str) -> dict[str, Locked]:
    """Return the locked releases by architecture. Raise LayerError if the file is no lock file, or
    a document in it has another digest."""
    document = parse_document(raw, origin, MAX_LOCK_SIZE)
    if integer(document, "import-release-lock", origin) != _FORMAT:
        raise LayerError(f"{origin} is of another version of this format")
    texts = mapping(document, "documents", origin)
    releases = mapping(document, "releases", origin)
    if not releases:
        raise LayerError(f"{origin} has no release")
    return {
        arch: _locked(mapping(releases, arch, origin), texts, arch, origin) for arch in releases
    }


def _locked(document: Document, texts: Document, arch: str, origin: str) -> Locked:
    listed = mapping(document, "images", origin)
    images: dict[str, Image] = {}
    locked: list[Component] = []
    for name in listed:
        place = f"{origin}: {name[:100]}"
        fields = mapping(listed, name, place)
        component = replace(Component.of(name, fields, place), origin=origin, digest="")
        locked.append(component)
        images[name] = _stored(component, fields, texts, place)
    name, version, stream = (
        string(document, key, origin, "") for key in ("name", "version", "stream")
    )
    return Locked(Release(components(locked), name, version, arch, stream), images)


def _stored(component: Component, fields: Document, texts: Document, place: str) -> Image:
    check_lockable(component)
    reference = component.reference
    manifest = _manifest(fields, "manifest", texts, place)
    index = _manifest(fields, "index", texts, place) if "index" in fields else None
    if not isinstance(manifest, Manifest) or isinstance(index, Manifest):
        raise LayerError(f"{place}: index and manifest are mixed up")
    if isinstance(index, Index):
        index.member(manifest.digest)
    config = parse_config(_text(texts, str(manifest.config.digest), place), manifest)
    image = Image(reference, reference.pinned(manifest.digest), manifest, config, index)
    digest = reference.name.digest if reference.name else None
    if digest is not None and digest != image.digest:
        raise LayerError(f"{place}: the pullspec is not what it is locked to, {image.digest}")
    return image


def _manifest(fields: Document, key: str, texts: Document, place: str) -> Manifest | Index:
    digest = Digest.parse(string(fields, key, place))
    raw = digest.check(_text(texts, str(digest), place), "the document in the lock file")
    return parse_manifest(raw, digest.algorithm)


def _text(texts: Document, digest: str, place: str) -> bytes:
    text = texts.get(digest)
    if not isinstance(text, str):
        raise LayerError(f"{place}: the lock file has no document {digest}")
    return text.encode("utf-8", "surrogatepass")
