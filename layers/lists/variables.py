"""Variables in the name of an image, as shells and Compose write them: `${TAG:-1.2}`.

Formats: the Compose specification, interpolation; templates of Quadlet units have them, too.
"""

from __future__ import annotations

import re

from layers.errors import LayerError

_WITH_DEFAULT = re.compile(r"\$\{[A-Za-z_]\w*:?-([^${}]*)\}", re.ASCII)


def with_defaults(text: str, where: str) -> str:
    """Return the text with its variables' defaults. Raise LayerError for a variable without a
    default, or with a variable as its default."""
    filled = _WITH_DEFAULT.sub(r"\1", text)
    if "$" in filled:
        raise LayerError(
            f"{where}: {text[:200]!r} has a variable without a default",
            hint="write the value, as `docker compose config` does, or ${NAME:-VALUE}",
        )
    return filled
