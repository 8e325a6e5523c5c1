"""What `image-store verify` finds wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from layers.errors import printable

if TYPE_CHECKING:
    from importer.storeview import ImageView


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something wrong: in which image, layer and path, as far as it belongs to one.

    `image` is a name or short id, `layer` a layer id. A path is below the layer's root
    where there is a layer, else below the store's.
    """

    problem: str
    image: str = ""
    layer: str = ""
    path: str = ""

    def __str__(self) -> str:
        parts = (self.image, self.layer and f"layer {self.layer[:12]}", self.path, self.problem)
        return ": ".join(part for part in parts if part)


@dataclass(slots=True)
class Findings:
    """Takes them down; a path's bytes are made printable."""

    found: list[Finding] = field(default_factory=list)

    def add(
        self, problem: str, *, image: str = "", layer: str = "", path: bytes | str = b""
    ) -> None:
        """Once each, as several images can lead to the same layer."""
        shown = printable(path) if isinstance(path, bytes) else path
        finding = Finding(problem, image, layer, shown)
        if finding not in self.found:
            self.found.append(finding)

    def named(self, images: list[ImageView]) -> list[Finding]:
        """All of them, each layer's with the images that have the layer."""
        return [
            replace(finding, image=", ".join(_users(images, finding.layer)))
            if finding.layer and not finding.image
            else finding
            for finding in self.found
        ]


def _users(images: list[ImageView], layer_id: str) -> list[str]:
    return sorted(i.label for i in images if any(layer.id == layer_id for layer in i.layers))
