"""An existing store of images, of whatever kind: what it has, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from layers.errors import LayerError
from layers.oci.reference import ImageName, Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.graphroot.files import Place
    from layers.digest import Digest
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True)
class SourceLayer:
    """A layer's files: its `directory`, and the tar-split `record` if the store keeps one.

    Both are paths relative to the store's own directory. `size` is the tar's in bytes as the
    store remembers it, 0 where it does not.
    """

    store: Place
    directory: bytes
    record: bytes | None
    size: int


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image by the names of its store; `layers` base first, None if not all are there."""

    id: str
    names: tuple[str, ...]
    digests: tuple[Digest, ...]
    layers: tuple[SourceLayer, ...] | None

    def __str__(self) -> str:
        return self.names[0] if self.names else self.id[:12]


class Source(Protocol):
    """A store; nothing in it is ever changed."""

    def images(self) -> Sequence[SourceImage]:
        """All that it lists."""

    def load(self, image: SourceImage) -> Image:
        """The image itself, its documents verified; only for one whose layers are there."""


def stored_reference(names: Sequence[str], unnamed: str) -> Reference:
    """What to call an image: by its first name if that is one that a registry could have.

    `unnamed` is skopeo's text for an image without any.
    """
    for name in sorted(names):
        try:
            return Reference.parse(f"docker://{ImageName.parse(name)}")
        except LayerError:
            continue
    return Reference.parse(unnamed)
