"""Keep a release in the metadata of its commit. As text, since libostree writes integers there in
the machine's byte order."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from layers.document import integer, mapping, parse_document, parse_records, string
from layers.errors import LayerError
from layers.oci.reference import ImageName
from layers.release.diff import LayerSize
from layers.release.release import Component, Release, components
from layers.storage.layer_record import any_layers
from layers.storage.store_id import standard_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY = "import-release."
_IMAGES = _KEY + "images"
# Without our prefix ostree's own key, which `ostree admin status` and rpm-ostree show.
_VERSION = "version"
# ostree-core.h, OSTREE_MAX_METADATA_SIZE is 128 MiB for a whole commit.
_LIMIT = 64 << 20


def metadata(release: Release) -> tuple[tuple[str, str], ...]:
    """Return the keys and values, sorted, without empty ones."""
    images = {name: _fields(one) for name, one in release.components.items()}
    values = {
        _VERSION: release.version,
        _KEY + _VERSION: release.version,
        _KEY + "name": release.name,
        _KEY + "arch": release.arch,
        _IMAGES: json.dumps(images, sort_keys=True, separators=(",", ":")),
    }
    return tuple(sorted((key, value) for key, value in values.items() if value))


def _fields(component: Component) -> dict[str, str]:
    fields = {
        "pullspec": component.pullspec,
        "digest": component.digest,
        "source": component.source,
        "commit": component.commit,
    }
    return {key: value for key, value in fields.items() if value}


def stored_release(values: Mapping[str, Any], origin: str) -> Release | None:
    """Return the release of a commit's metadata, or None if the commit has none. Raise LayerError
    if it is malformed."""
    text = values.get(_IMAGES)
    if not isinstance(text, str):
        return None
    images = parse_document(text.encode(), origin, _LIMIT)
    found = [_component(name, mapping(images, name, origin), origin) for name in images]
    said = {key: values.get(_KEY + key, "") for key in ("name", _VERSION, "arch")}
    if not all(isinstance(value, str) for value in said.values()):
        raise LayerError(f"{origin}: the metadata of the release is not text")
    return Release(components(found), *said.values())


def _component(name: str, fields: dict[str, Any], origin: str) -> Component:
    return Component(
        name,
        string(fields, "pullspec", origin),
        string(fields, "source", origin, ""),
        string(fields, "commit", origin, ""),
        string(fields, "digest", origin, ""),
        origin,
    )


def images_release(images_json: bytes, origin: str) -> Release:
    """Return the images of a store without a release. Each is named after its repository, or by its
    own name if several are from one repository."""
    names = [_first_name(record) for record in parse_records(images_json, origin)]
    repositories = [ImageName.parse(name).repository for name in names if name]
    counts = Counter(repositories)
    return Release(
        components(
            Component(repository if counts[repository] == 1 else name, name)
            for name, repository in zip(filter(None, names), repositories, strict=True)
        )
    )


def _first_name(record: dict[str, Any]) -> str:
    names = record.get("names")
    return str(names[0]) if isinstance(names, list) and names else ""


def layer_sizes(layers_json: bytes, origin: str) -> dict[str, LayerSize]:
    """Return the sizes of a store's layers by their standard ids, out of its layers.json.

    A layer whose standard id is unknown is listed under its own id.
    """
    layers = any_layers(layers_json)
    standard = standard_ids(layers)
    return {
        standard.get(one, one): LayerSize(
            _size(record.document, "compressed-size", origin), record.diff_size
        )
        for one, record in layers.items()
    }


def _size(record: dict[str, Any], key: str, origin: str) -> int:
    return integer(record, key, origin) if key in record else 0
