"""Collect what `image-store verify` finds wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from importer.render.table import first_of
from layers.errors import printable

if TYPE_CHECKING:
    from importer.store.image import ImageView


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A fault, with the images, the layer and the path that it belongs to, as far as there are
    any.

    `images` are names or short ids, `layer` is the id that the layer has in the store. A path is
    below the layer's root if there is a layer, else below the store's. Findings sort by their
    places.
    """

    images: tuple[str, ...]
    layer: str
    path: str
    problem: str

    def __str__(self) -> str:
        layer = self.layer and f"layer {self.layer[:12]}"
        parts = (first_of(self.images), layer, self.path, self.problem)
        return ": ".join(part for part in parts if part)


@dataclass(slots=True)
class Findings:
    """Collects findings; the bytes of a path are made printable."""

    found: list[Finding] = field(default_factory=list)

    def add(
        self, problem: str, *, image: str = "", layer: str = "", path: bytes | str = b""
    ) -> None:
        """Add a finding, once: several images can lead to the same layer."""
        shown = printable(path) if isinstance(path, bytes) else path
        finding = Finding((image,) if image else (), layer, shown, problem)
        if finding not in self.found:
            self.found.append(finding)

    def named(self, images: list[ImageView]) -> list[Finding]:
        """Return all findings, each layer's with the images that have the layer."""
        return [
            replace(finding, images=_users(images, finding.layer))
            if finding.layer and not finding.images
            else finding
            for finding in self.found
        ]


def _users(images: list[ImageView], layer_id: str) -> tuple[str, ...]:
    users = (i.label for i in images if any(layer.id == layer_id for layer in i.layers))
    return tuple(sorted(users))
