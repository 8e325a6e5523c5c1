"""Pack a store's layers into the layers of an OCI image.

A layer's tar cannot link to a file of another tar. In a store without whiteouts, a layer that
deletes files holds files of the layers below. It repeats their bytes, unless they are in the same
tar. Three rules decide, and each looks at few layers, so that most blobs stay the same when an
image changes:

1. A small layer goes into the image's last layer, which is new every time.
2. A layer goes with the topmost layer above that the same images have and that repeats at least an
   eighth of its bytes. The layers that one image alone has are mostly built anew together, so that
   an update brings both in any case.
3. Any other layer has an OCI layer of its own; so has a layer of several images, if only some of
   them repeat it.

If these rules give too many layers, all layers that the same images have go together.

The rules keep updates small. To keep an image small, rule 2 takes all layers upon one base that
repeat bytes, and all layers that they repeat, into one OCI layer, whatever their images are: no
byte is there twice, and an update of one of the images brings that whole layer again.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Bytes of a layer's tar below which no OCI layer is made for it: about what the request for a
# blob costs, in bytes of a slow connection.
SMALL = 64 << 10
# A layer joins another one that repeats 1 / _PART of its bytes.
_PART = 8


class Pack(Enum):
    """The aim of the packing: small updates, or a small image."""

    UPDATES = "updates"
    SIZE = "size"


@frozen
class PackedLayer:
    """A layer of the store. `size` in bytes of its tar; `images` are the ids of its images.

    `repeats` has the bytes of the files that it holds of each layer below, by that layer's id.
    """

    id: str
    parent: str
    repeats: Mapping[str, int]
    size: int
    images: frozenset[str]


@frozen
class Packing:
    """`groups`: for each OCI layer, the ids of the store layers packed into it. `last`: the ids of
    the layers packed with the records."""

    groups: tuple[tuple[str, ...], ...]
    last: tuple[str, ...]


def pack(layers: Sequence[PackedLayer], most: int, aim: Pack = Pack.UPDATES) -> Packing:
    """Pack the layers, parents first, into at most `most` groups, if that is possible.

    The groups that most images share come first, as a container image has its base first.
    """
    large = [layer for layer in layers if layer.size >= SMALL]
    last = tuple(layer.id for layer in layers if layer.size < SMALL)
    hosts = _hosts(layers) if aim is Pack.UPDATES else _bases(layers)
    groups = _grouped(large, lambda layer: hosts[layer.id])
    if len(groups) > most:
        groups = _grouped(large, lambda layer: layer.images)
    return Packing(groups, last)


def _hosts(layers: Sequence[PackedLayer]) -> dict[str, str]:
    """Return for each layer the layer that it goes with: by rule 2, or itself."""
    by_id = {layer.id: layer for layer in layers}
    hosts: dict[str, str] = {}
    for layer in reversed(layers):  # the topmost one that repeats a layer comes first
        host = hosts.setdefault(layer.id, layer.id)
        for below_id, repeated in layer.repeats.items():
            below = by_id[below_id]
            if below.images == layer.images and _PART * repeated >= below.size:
                hosts.setdefault(below_id, host)
    return hosts


def _bases(layers: Sequence[PackedLayer]) -> dict[str, str]:
    """Return for each layer its base, if the layer repeats bytes or is repeated; else the layer."""
    bases: dict[str, str] = {}
    for layer in layers:
        bases[layer.id] = bases.get(layer.parent, layer.id)
    together: set[str] = set()
    for layer in layers:
        if repeated := {below for below, size in layer.repeats.items() if size}:
            together |= {layer.id, *repeated}
    return {layer.id: bases[layer.id] if layer.id in together else layer.id for layer in layers}


def _grouped(
    layers: Sequence[PackedLayer], key: Callable[[PackedLayer], object]
) -> tuple[tuple[str, ...], ...]:
    groups: dict[object, list[PackedLayer]] = {}
    for layer in layers:
        groups.setdefault(key(layer), []).append(layer)
    ordered = sorted(groups.values(), key=lambda group: -max(len(layer.images) for layer in group))
    return tuple(tuple(layer.id for layer in group) for group in ordered)
