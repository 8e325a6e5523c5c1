"""storage.conf with one more additional image store in it.

Format: containers-storage.conf(5). A file in /etc counts instead of the one in /usr/share,
not beside it, and containers-storage 1.57 knows no drop-in directory; so ours has to say
all that the other one says.
"""

from __future__ import annotations

from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from layers.errors import LayerError

# The manual page's own defaults: without them podman asks for a driver and a root.
_NEW = b"""\
# Container images that came with the operating system; see containers-storage.conf(5).
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""
_KEY = "additionalimagestores"


def with_store(raw: bytes | None, store: str) -> bytes:
    """The file with `store`, an absolute path, among the additional image stores.

    Comments and all else stay as they are; a file that has it is not changed. None stands
    for no file. LayerError if it is not TOML, or not of the form that podman reads.
    """
    try:
        document = tomlkit.parse(_NEW if raw is None else raw)
    except (TOMLKitError, UnicodeDecodeError, RecursionError) as error:
        raise LayerError(f"storage.conf is not TOML: {str(error).splitlines()[0]}") from None
    storage = _table(document, "storage")
    options = _table(storage, "options", "storage.options")
    stores = options.setdefault(_KEY, tomlkit.array())
    if not isinstance(stores, list):
        raise LayerError(f"storage.conf: storage.options.{_KEY} is not an array")
    if raw is not None and store in stores:
        return raw
    stores.append(store)
    return tomlkit.dumps(document).encode()


def _table(parent: dict[str, Any], key: str, name: str = "") -> dict[str, Any]:
    """The table of this key, made where there is none; within `{}` there is no other kind."""
    made = tomlkit.inline_table() if isinstance(parent, InlineTable) else tomlkit.table()
    value = parent.setdefault(key, made)
    if not isinstance(value, dict):
        raise LayerError(f"storage.conf: {name or key} is not a table")
    return value
