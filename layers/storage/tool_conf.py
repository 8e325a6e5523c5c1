"""Configuration files of container tools, as far as a store of the operating system needs them.

storage.conf: containers-storage.conf(5). A main file in /etc counts instead of the one in
/usr/share, not beside it, so ours has to repeat all settings of the other one. containers-storage
up to 1.62, as in CRI-O 1.37, reads the main file alone. Since 1.63, as in podman 6 and Debian's
podman 5.8, drop-ins are read after it: an array in one of them replaces what came before, unless
the table `{append = true}` stands in it. Source: container-libs, storage of April 2026,
pkg/configfile.

CRI-O: crio.conf(5) and crio.conf.d(5). The drop-ins are read after crio.conf, by name, and an array
in one of them replaces what came before. CRI-O compares an image's names with `pinned_images`
(internal/storage/image.go): the whole name, the beginning before a `*` at the end, or the word
between two `*`. A repository's name without tag and digest pins nothing. Since 1.35.2 it reads
artifacts of `additional_artifact_stores`; earlier ones ignore keys that they do not have.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.items import InlineTable

from layers.errors import LayerError
from layers.toml_text import editable_toml, parse_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

# The manual page's own defaults: without them podman asks for a driver and a root.
_NEW = b"""\
# Container images that came with the operating system; see containers-storage.conf(5).
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""
_DROP_IN = """\
# Container images that came with the operating system; see containers-storage.conf(5).
[storage.options]
additionalimagestores = [{stores}, {{append = true}}]
"""
_KEY = "additionalimagestores"
_APPEND = "append"
_CRIO_HEADER = (
    "Images that came with the operating system; see crio.conf.d(5). CRI-O's garbage",
    "collection leaves them alone.",
)


def with_store(raw: bytes | None, store: str) -> bytes:
    """Return the main file with `store`, an absolute path, among the additional image stores.

    Comments and everything else stay; a file that has the store already is not changed. None
    stands for no file. Raise LayerError if it is not TOML, or not of the form that podman reads.
    """
    document = editable_toml(_NEW if raw is None else raw, "storage.conf")
    options = _table(_table(document, "storage"), "options", "storage.options")
    stores = _array(options.setdefault(_KEY, tomlkit.array()))
    if raw is not None and store in stores:
        return raw
    stores.append(store)
    return tomlkit.dumps(document).encode()


def drop_in(stores: Iterable[str]) -> bytes:
    """Return a drop-in that adds `stores`, absolute paths, to the stores named before it."""
    written = ", ".join(tomlkit.string(store).as_string() for store in stores)
    return _DROP_IN.format(stores=written).encode()


def stores_of(main: bytes | None, drop_ins: Iterable[bytes]) -> list[str]:
    """Return the additional image stores that podman reads, from the files in its order.

    `append` holds for the files after it, too (containers.conf(5); pkg/configfile/slice.go).
    Raise LayerError if a file is not TOML, or not of the form that podman reads.
    """
    stores: list[str] = []
    appends = False
    for raw in (main, *drop_ins):
        document = parse_toml(raw or b"", "storage.conf")
        options = _table(_table(document, "storage"), "options", "storage.options")
        if _KEY in options:
            values = _array(options[_KEY])
            for table in (value for value in values if isinstance(value, dict)):
                appends = bool(table.get(_APPEND, appends))
            own = [str(value) for value in values if isinstance(value, str)]
            stores = [*stores, *own] if appends else own
    return stores


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise LayerError(f"storage.conf: storage.options.{_KEY} is not an array")
    return value


def _table(parent: dict[str, Any], key: str, name: str = "") -> dict[str, Any]:
    """Return the table of this key, made if there is none; in `{}` only inline ones may be."""
    made = tomlkit.inline_table() if isinstance(parent, InlineTable) else tomlkit.table()
    value = parent.setdefault(key, made)
    if not isinstance(value, dict):
        raise LayerError(f"storage.conf: {name or key} is not a table")
    return value


class CrioList(Enum):
    """An array of crio.conf: its table below `crio`, and its key."""

    PINNED = ("image", "pinned_images")
    ARTIFACT_STORES = ("runtime", "additional_artifact_stores")

    def read(self, raw: bytes) -> tuple[str, ...] | None:
        """Return the array of crio.conf or a drop-in, None if the file has none. Raise LayerError
        if the file is not TOML, or has other types."""
        table = parse_toml(raw, "it")
        name, array = self.value
        for key in ("crio", name):
            table = table.get(key, {})
            if not isinstance(table, dict):
                raise LayerError(f"{key} is not a table")
        values = table.get(array)
        if values is None:
            return None
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise LayerError(f"{array} is not an array of strings")
        return tuple(values)


def crio_conf(
    pinned: Iterable[str], artifact_stores: Iterable[str], *, internal_repair: bool | None
) -> bytes:
    """Write a drop-in for CRI-O, without artifact stores if there are none, and without
    `internal_repair` if that is None."""
    stores = sorted(set(artifact_stores))
    document = tomlkit.document()
    for line in _CRIO_HEADER:
        document.add(tomlkit.comment(line))
    crio = tomlkit.table(is_super_table=internal_repair is None)
    if internal_repair is not None:
        crio.add("internal_repair", internal_repair)
    values = {CrioList.PINNED: sorted(set(pinned))}
    values |= {CrioList.ARTIFACT_STORES: stores} if stores else {}
    for each, listed in values.items():
        name, key = each.value
        table, array = tomlkit.table(), tomlkit.array().multiline(True)
        array.extend(listed)
        table.add(key, array)
        crio.add(name, table)
    document.add("crio", crio)
    return tomlkit.dumps(document).encode()
