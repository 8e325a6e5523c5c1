"""An osbuild blueprint: the images that it embeds.

Format: the blueprint reference of osbuild.org, `[[containers]]` with `source` and `name`; `name`
is what the image is called in the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from layers.errors import LayerError
from layers.frozen import frozen
from layers.lists.listed import Listed
from layers.toml_text import editable_toml, parse_toml

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Blueprint:
    text: str
    images: tuple[Listed, ...]

    def pinned(self, references: Mapping[str, str]) -> bytes:
        """Return the blueprint with these references; comments and all else stay."""
        document = editable_toml(self.text.encode(), "the blueprint")
        for container in cast("list[dict[str, object]]", document["containers"]):  # parsed before
            source = str(container["source"])
            if source in references:
                container["source"] = references[source]
        return document.as_string().encode()


def read_blueprint(text: str, origin: str, limit: int) -> Blueprint:
    """Return the blueprint. Raise LayerError if the text is none."""
    document = parse_toml(text.encode(), origin, limit)
    containers = document.get("containers")
    if not isinstance(containers, list):
        raise LayerError(f"{origin} is TOML without [[containers]]")
    return Blueprint(text, tuple(_listed(container, origin) for container in containers))


def _listed(container: object, origin: str) -> Listed:
    table = container if isinstance(container, dict) else {}
    source, name = table.get("source"), table.get("name", "")
    if not isinstance(source, str) or not isinstance(name, str):
        raise LayerError(f"{origin}: one of [[containers]] has no source, or no text for a name")
    return Listed(source, f"{origin}: {source[:100]}", name)
