"""An existing store of images, of any kind: its images, and where their layers are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.graphroot.files import StorePlace
    from layers.digest import Digest
    from layers.path import Path
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True)
class SourceLayer:
    """A layer's files: its `directory`, and the tar-split `record` if the store keeps one.

    Both are paths relative to the store's own directory, as are `lowers`, the directories of the
    layers below, nearest first. `size` is the tar's in bytes as the store recorded it, 0 if it
    did not.
    """

    store: StorePlace
    directory: bytes
    record: bytes | None
    size: int
    lowers: tuple[bytes, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the paths of the layer's directory and of those below it."""
        return tuple(tuple(one.split(b"/")) for one in (self.directory, *self.lowers))


def stacked(layers: Sequence[SourceLayer]) -> tuple[SourceLayer, ...]:
    """Return an image's layers, base first, each with its lowers."""
    directories = [layer.directory for layer in layers]
    return tuple(
        replace(layer, lowers=tuple(reversed(directories[:number])))
        for number, layer in enumerate(layers)
    )


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image and its names in the store; `layers` base first, None if one of them is missing."""

    id: str
    names: tuple[str, ...]
    digests: tuple[Digest, ...]
    layers: tuple[SourceLayer, ...] | None

    def __str__(self) -> str:
        return self.names[0] if self.names else self.id[:12]


class StoredImages(Protocol):
    """A store, which is only read."""

    def images(self) -> Sequence[SourceImage]:
        """Return all images that the store lists."""

    def load(self, image: SourceImage) -> Image:
        """Return the image with verified documents; `image.layers` must not be None."""
