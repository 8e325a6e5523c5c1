"""storage.conf and its drop-ins, with one more additional image store.

Format: containers-storage.conf(5). A main file in /etc counts instead of the one in /usr/share,
not beside it, so ours has to say all that the other one says. containers-storage up to 1.62, as in
CRI-O 1.37, reads the main file alone. Since 1.63, as in podman 6 and Debian's podman 5.8, drop-ins
are read after it: an array in one of them replaces what came before, unless the table
`{append = true}` stands in it. Source: container-libs, storage of April 2026, pkg/configfile.
"""

from __future__ import annotations

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
additionalimagestores = [{store}, {{append = true}}]
"""
_KEY = "additionalimagestores"
_APPEND = "append"


def with_store(raw: bytes | None, store: str) -> bytes:
    """Return the main file with `store`, an absolute path, among the additional image stores.

    Comments and everything else stay; a file that has the store already is not changed. None
    stands for no file. Raise LayerError if it is not TOML, or not of the form that podman reads.
    """
    document = editable_toml(_NEW if raw is None else raw, "storage.conf")
    options = _table(_table(document, "storage"), "options", "storage.options")
    stores = options.setdefault(_KEY, tomlkit.array())
    if raw is not None and store in _array(stores):
        return raw
    _array(stores).append(store)
    return tomlkit.dumps(document).encode()


def drop_in(store: str) -> bytes:
    """Return a drop-in that adds `store`, an absolute path, to the stores named before it."""
    return _DROP_IN.format(store=tomlkit.string(store).as_string()).encode()


def stores_of(main: bytes | None, drop_ins: Iterable[bytes]) -> list[str]:
    """Return the additional image stores that podman reads, from the files in its order.

    `append` holds for the files after it, too (containers.conf(5); pkg/configfile/slice.go).
    Raise LayerError if a file is not TOML, or not of the form that podman reads.
    """
    found: list[str] = []
    appends = False
    for raw in (main, *drop_ins):
        document = parse_toml(raw or b"", "storage.conf")
        options = _table(_table(document, "storage"), "options", "storage.options")
        if _KEY in options:
            values = _array(options[_KEY])
            for table in (one for one in values if isinstance(one, dict)):
                appends = bool(table.get(_APPEND, appends))
            own = [str(one) for one in values if isinstance(one, str)]
            found = [*found, *own] if appends else own
    return found


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
