"""Count the layers of each image while they are read, for the display of progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layers.errors import escaped
from layers.words import several, size

if TYPE_CHECKING:
    from collections.abc import Sequence

_READ = frozenset(["closing", "done"])
_OVER = frozenset(["done", "failed"])
_AT_WORK = frozenset(["spooled", "unpacking", "closing"])


@dataclass(slots=True, eq=False)
class LayerRead:
    """A missing layer of an image. `read` counts the bytes that were read so far."""

    size: int = 0
    read: int = 0
    state: str = "waiting"

    def advance(self, count: int) -> None:
        self.read += count


@dataclass(slots=True, eq=False)
class ImageRead:
    """An image. `layers` are the ones that the repo lacks; `reused` counts the others."""

    name: str
    layers: Sequence[LayerRead]
    reused: int
    state: str = "waiting"

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def read(self) -> int:
        return sum(layer.read for layer in self.layers)

    @property
    def is_over(self) -> bool:
        """Return whether each missing layer was read, or has failed."""
        return self.state in _OVER

    def counts(self) -> str:
        """Return how many of the image's layers are here: `3 of 5 layers`."""
        done = sum(layer.state in _READ for layer in self.layers)
        return f"{self.reused + done} of {several(self.reused + len(self.layers), 'layer')}"

    def beginning(self) -> str:
        """Return a line with the number and size of the missing layers."""
        total = f" of {self.reused + len(self.layers)}" if self.reused else ""
        layers = f"{len(self.layers)}{total} layer{'s' if total or len(self.layers) > 1 else ''}"
        return f"{self.name}: {self.state} {layers}, {size(self.size)}"

    def update(self) -> bool:
        """Find the image's state from those of its layers. Return whether it has changed."""
        states = {layer.state for layer in self.layers}
        if states <= _OVER:
            state = "failed" if "failed" in states else "done"
        elif "downloading" in states:
            state = "downloading"
        else:
            state = "unpacking" if states & _AT_WORK else "waiting"
        changed, self.state = state != self.state, state
        return changed


@dataclass(slots=True)
class ImagesRead:
    """The images of an import, and the layers by name. Several images may share a layer."""

    images: list[ImageRead] = field(default_factory=list)
    layers: dict[str, LayerRead] = field(default_factory=dict)
    _users: dict[LayerRead, list[ImageRead]] = field(default_factory=dict)

    def add(self, name: str, layers: Sequence[str], reused: int) -> ImageRead:
        image = ImageRead(escaped(name), [self._layer(layer) for layer in layers], reused)
        for layer in image.layers:
            self._users[layer].append(image)
        self.images.append(image)
        return image

    def _layer(self, name: str) -> LayerRead:
        if name not in self.layers:
            self.layers[name] = LayerRead()
            self._users[self.layers[name]] = []
        return self.layers[name]

    def layer(self, name: str, size: int, state: str) -> list[ImageRead]:
        """Note a layer's state. Return the images whose states have changed by this."""
        layer = self._layer(name)
        layer.size, layer.state = size, state
        return [image for image in self._users[layer] if image.update()]

    def counts(self) -> str:
        """Return how many images are done, and how many layers were read."""
        images = sum(image.is_over for image in self.images)
        layers = sum(layer.state in _READ for layer in self.layers.values())
        counted = f"{layers} of {several(len(self.layers), 'layer')}"
        return f"{images} of {several(len(self.images), 'image')}, {counted}"

    def interrupted(self) -> str:
        """Return what to tell the user of an interrupted import, "" if there was none."""
        kept = sum(layer.state == "done" for layer in self.layers.values())
        if not self.layers:
            return ""
        layers = several(kept, "layer") if kept else "no layers"
        return f"interrupted; {layers} {'is' if kept == 1 else 'are'} kept"
