"""CRI-O's configuration, as far as a store that comes with the operating system needs it.

Format: crio.conf(5) and crio.conf.d(5). The drop-ins are read after crio.conf, by name, and an
array in one of them replaces what came before.

CRI-O compares an image's names with `pinned_images` (internal/storage/image.go): the whole name,
the beginning before a `*` at the end, or the word between two `*`. A repository's name without
tag and digest pins nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomlkit

from layers.errors import LayerError
from layers.toml_text import parse_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEADER = (
    "Images that came with the operating system; see crio.conf.d(5). CRI-O's garbage",
    "collection leaves them alone.",
)


def pinned_images(raw: bytes) -> tuple[str, ...] | None:
    """Return what crio.conf or a drop-in pins, None if it does not say. Raise LayerError if it is
    not TOML, or has other types."""
    document = parse_toml(raw, "it")
    return _texts(_table(_table(document, "crio"), "image"), "pinned_images")


def crio_conf(pinned: Iterable[str], *, internal_repair: bool | None) -> bytes:
    """Write a drop-in. `internal_repair` None is left out."""
    document = tomlkit.document()
    for line in _HEADER:
        document.add(tomlkit.comment(line))
    crio = tomlkit.table(is_super_table=internal_repair is None)
    if internal_repair is not None:
        crio.add("internal_repair", internal_repair)
    image = tomlkit.table()
    image.add("pinned_images", _array(sorted(set(pinned))))
    crio.add("image", image)
    document.add("crio", crio)
    return tomlkit.dumps(document).encode()


def _array(values: Iterable[str]) -> tomlkit.items.Array:
    array = tomlkit.array()
    array.extend(values)
    return array.multiline(True)


def _table(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise LayerError(f"{key} is not a table")
    return value


def _texts(table: dict[str, Any], key: str) -> tuple[str, ...] | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise LayerError(f"{key} is not an array of strings")
    return tuple(value)
