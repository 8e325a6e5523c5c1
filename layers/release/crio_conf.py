"""A configuration file of CRI-O, with the pause image of a newer release.

Format: crio.conf(5), `pause_image` in the table `crio.image`, as in MicroShift's
packaging/crio.conf.d/10-microshift_<arch>.conf. MicroShift's rebase.sh takes the component `pod`.
"""

from __future__ import annotations

import tomllib

import tomlkit
from tomlkit.exceptions import TOMLKitError

from layers.errors import LayerError

PAUSE = "pod"
_KEY = "pause_image"


def with_pause_image(raw: bytes, pullspec: str, origin: str) -> bytes:
    """Return the file with this pause image; comments and all else stay.

    Raise LayerError if the file is not TOML or sets no pause image.
    """
    try:
        text = raw.decode("utf-8")
        tomllib.loads(text)  # tomlkit, which keeps comments, is less strict
        document = tomlkit.parse(text)
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise LayerError(f"{origin} is not TOML: {str(error).splitlines()[0]}") from None
    table: object = document
    for key in ("crio", "image"):
        table = table.get(key) if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(table.get(_KEY), str):
        raise LayerError(
            f"{origin} sets no crio.image.{_KEY}", hint=f'write {_KEY} = "" under [crio.image]'
        )
    if table[_KEY] != pullspec:
        table[_KEY] = pullspec
    return tomlkit.dumps(document).encode()
