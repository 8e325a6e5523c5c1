"""Whether a deployment is mounted by composefs, by prepare-root.conf.

Format: ostree-prepare-root(1); a GKeyFile, whose `[composefs] enabled` is a boolean,
`maybe`, `signed` or `verity`.
"""

from __future__ import annotations

from configparser import ConfigParser
from configparser import Error as ConfigError

from layers.errors import LayerError

# GKeyFile's booleans are true, false, 1 and 0; ostree takes yes and no as well.
_OFF = ("no", "false", "0")


def composefs_enabled(raw: bytes) -> bool:
    """As the file says it; false where it says nothing. LayerError if it cannot be read."""
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(raw.decode())
    except (ConfigError, UnicodeDecodeError) as error:
        message = str(error).splitlines()[0]
        raise LayerError(f"prepare-root.conf is not a key file: {message}") from None
    value = parser.get("composefs", "enabled", fallback=None)
    return value is not None and value.strip().lower() not in _OFF
