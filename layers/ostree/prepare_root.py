"""Tell from prepare-root.conf whether a deployment is mounted by composefs.

Format: ostree-prepare-root(1); a GKeyFile, whose `[composefs] enabled` is a boolean, `maybe`,
`signed` or `verity`.
"""

from __future__ import annotations

from configparser import ConfigParser
from configparser import Error as ConfigError

from layers.errors import LayerError, first_line

# GKeyFile's booleans are true, false, 1 and 0; ostree takes yes and no as well.
_OFF = ("no", "false", "0")


def composefs_enabled(raw: bytes) -> bool:
    """Return whether the file enables composefs; False without the key. Raise LayerError if the
    file is not a key file."""
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(raw.decode())
    except (ConfigError, UnicodeDecodeError) as error:
        raise LayerError(f"prepare-root.conf is not a key file: {first_line(error)}") from None
    value = parser.get("composefs", "enabled", fallback=None)
    return value is not None and value.strip().lower() not in _OFF
