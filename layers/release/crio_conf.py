"""A configuration file of CRI-O, with the pause image of a newer release.

Format: crio.conf(5), `pause_image` in the table `crio.image`, as in MicroShift's
packaging/crio.conf.d/10-microshift_<arch>.conf. MicroShift's rebase.sh takes the component `pod`.
"""

from __future__ import annotations

from layers.errors import LayerError
from layers.toml_text import editable_toml

PAUSE = "pod"
_KEY = "pause_image"


def with_pause_image(raw: bytes, pullspec: str, origin: str) -> bytes:
    """Return the file with this pause image; comments and all else stay.

    Raise LayerError if the file is not TOML or sets no pause image.
    """
    document = editable_toml(raw, origin)
    table: object = document
    for key in ("crio", "image"):
        table = table.get(key) if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(table.get(_KEY), str):
        raise LayerError(
            f"{origin} sets no crio.image.{_KEY}", hint=f'write {_KEY} = "" under [crio.image]'
        )
    if table[_KEY] != pullspec:
        table[_KEY] = pullspec
    return document.as_string().encode()
