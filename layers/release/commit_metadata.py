"""A release in the metadata of its commit. All values are text, since libostree writes integers
there in the machine's byte order."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from layers.document import Document, integer, mapping, parse_document, parse_records, string
from layers.errors import LayerError
from layers.oci.reference import ImageName
from layers.release.diff import LayerSize
from layers.release.release import Component, Release, components
from layers.storage.layer_record import any_layers, standard_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY = "import-release."
_IMAGES = _KEY + "images"
# Without our prefix it is ostree's own key, which `ostree admin status` and rpm-ostree show.
_VERSION = "version"
# ostree-core.h, OSTREE_MAX_METADATA_SIZE is 128 MiB for a whole commit.
_LIMIT = 64 << 20


def metadata(release: Release) -> tuple[tuple[str, str], ...]:
    """Return the keys and values, sorted, without empty ones."""
    images = {name: component.fields() for name, component in release.components.items()}
    values = {
        _VERSION: release.version,
        _KEY + _VERSION: release.version,
        _KEY + "name": release.name,
        _KEY + "arch": release.arch,
        _IMAGES: json.dumps(images, sort_keys=True, separators=(",", ":")),
    }
    return tuple(sorted((key, value) for key, value in values.items() if value))


def stored_release(values: Mapping[str, Any], origin: str) -> Release | None:
    """Return the release of a commit's metadata, or None if the commit has none. Raise LayerError
    if it is malformed."""
    text = values.get(_IMAGES)
    if not isinstance(text, str):
        return None
    images = parse_document(text.encode(), origin, _LIMIT)
    names = [values.get(_KEY + key, "") for key in ("name", _VERSION, "arch")]
    if not all(isinstance(value, str) for value in names):
        raise LayerError(f"{origin}: the metadata of the release is not text")
    listed = (Component.of(name, mapping(images, name, origin), origin) for name in images)
    return Release(components(listed), *names)


def images_release(images_json: bytes, origin: str) -> Release:
    """Return the images of a store without a release, by their first names. A component is called
    after its repository, or as its image if several are from one repository."""
    named = [
        (str(names[0]), string(record, "digest", origin, ""))
        for record in parse_records(images_json, origin)
        if isinstance(names := record.get("names"), list) and names and names[0]
    ]
    repositories = [ImageName.parse(name).repository for name, _ in named]
    counts = Counter(repositories)
    listed = (
        Component(repository if counts[repository] == 1 else name, name, digest=digest)
        for (name, digest), repository in zip(named, repositories, strict=True)
    )
    return Release(components(listed), of_images=True)


def layer_sizes(layers_json: bytes, origin: str) -> dict[str, LayerSize]:
    """Return the sizes of a store's layers by their standard ids, out of its layers.json. A layer
    without a standard id has its own."""
    layers = any_layers(layers_json)
    standard = standard_ids(layers)
    return {
        standard.get(layer, layer): LayerSize(_packed(record.document, origin), record.diff_size)
        for layer, record in layers.items()
    }


def _packed(record: Document, origin: str) -> int:
    return integer(record, "compressed-size", origin) if "compressed-size" in record else 0
