"""Find what a device loses when one store takes the place of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importer.store.image import ImageView
    from importer.store.reader import StoreView


@dataclass(frozen=True, slots=True)
class LostLayer:
    """A layer of the old store that the new one does not have under the same id."""

    layer_id: str  # the layer's id
    store_layer_id: str  # the id that it has in the old store


@dataclass(frozen=True, slots=True)
class Lost:
    """The images and layers of an old store that the new one lacks.

    Containers of these images no longer start, nor do containers over these layers that
    containers-storage from 1.63 on has made: it knows layers by their ids, earlier versions by
    links. Images that a device pulled over a store with standard ids break with these layers.
    """

    images: tuple[ImageView, ...]  # [ImageView]: a list of images
    layers: tuple[LostLayer, ...]  # [LostLayer]: a list of layers

    def __bool__(self) -> bool:
        return bool(self.images or self.layers)


def find_lost(old: StoreView | None, new: StoreView) -> Lost:
    """Compare two stores by the ids that containers-storage knows; None is an empty store."""
    if old is None:
        return Lost((), ())
    present = {image.id for image in new.images}
    images = tuple(image for image in old.images if image.id not in present)
    layers = tuple(
        LostLayer(old.standard_ids.get(layer_id, layer_id), layer_id)
        for layer_id in old.layers
        if layer_id not in new.layers
    )
    return Lost(images, layers)
