"""Which images of a storage are broken, which are right again, and which layers belong to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, Iterator, List, Set, Tuple

from importer.device.aside import Moved, moved
from importer.device.folder import Folder
from importer.device.lowers import mounts
from importer.device.records import (
    ALL_LAYERS,
    CONTAINERS,
    IMAGES,
    LAYERS,
    Chains,
    Recorded,
    recorded,
)
from importer.device.stores import DeviceStores


@dataclass(frozen=True)
class Broken:
    """An image, and a layer of it that is in no store."""

    image: Recorded
    missing: str


@dataclass(frozen=True)
class Returning:
    """Images and layers of one number that come back."""

    here: Moved
    images: Tuple[Recorded, ...]
    layers: Tuple[Recorded, ...]


@dataclass(frozen=True)
class Treatment:
    """`broken` images and `layers` go aside, unless there are `doubts`; `returning` come back.

    `stuck`: the ids of containers that cannot start.
    """

    broken: Tuple[Broken, ...] = ()
    layers: Tuple[str, ...] = ()
    returning: Tuple[Returning, ...] = ()
    stuck: Tuple[str, ...] = ()
    doubts: Tuple[str, ...] = ()


def treatment(storage: Folder, stores: DeviceStores) -> Treatment:
    """Compare the storage's records, and those aside, with the stores' layers."""
    return _Case(storage, stores).treatment()


class _Case:
    """The storage's records and those aside, and the chains of both."""

    def __init__(self, storage: Folder, stores: DeviceStores) -> None:
        self._storage = storage
        self._stores = stores
        self._images = recorded(storage, [IMAGES])
        self._containers = recorded(storage, CONTAINERS)
        self._own = Chains(recorded(storage, ALL_LAYERS), stores.layers)
        self._aside = moved(storage)
        self._places: Dict[str, Moved] = {}
        layers = dict(self._own.own)
        for here in self._aside:
            for one in here.records[LAYERS].values():
                if one.id not in layers:
                    layers[one.id], self._places[one.id] = one, here
        self._all = Chains(layers, stores.layers)

    def treatment(self) -> Treatment:
        chains = ((one, self._all.missing(one.below)) for one in self._images.values())
        broken = tuple(Broken(one, missing) for one, missing in chains if missing)
        doubts = (*self._stores.doubts, *self._own_doubts())
        going = set() if doubts else {one.image.id for one in broken}
        return Treatment(
            broken,
            tuple(self._broken_layers()),
            tuple(self._returning([one for one in self._images.values() if one.id not in going])),
            () if doubts else tuple(self._stuck()),
            doubts,
        )

    def _own_doubts(self) -> Iterator[str]:
        """Yield a line if the storage has images, and an empty file of layers."""
        status = self._storage.status(LAYERS)
        if any(one.below for one in self._images.values()) and not (status and status.st_size):
            yield f"{self._storage.path / LAYERS} is empty or absent"

    def _broken_layers(self) -> Iterator[str]:
        """Yield the layers whose parents are gone, but for those below containers."""
        needed: Set[str] = set()
        for container in self._containers.values():
            for layer in container.below:
                needed.update(self._all.chain(layer))
        for one in recorded(self._storage, [LAYERS]):
            if one not in needed and self._all.missing([one]):
                yield one

    def _stuck(self) -> Iterator[str]:
        """Yield the containers that lack a layer below. Their links and ids decide, not records."""
        stores = [store.folder for store in self._stores.found]
        for one in self._containers.values():
            for layer in one.below:
                mounted = mounts(self._storage, f"overlay/{layer}", stores)
                if mounted is False or (mounted is None and self._own.missing([layer])):
                    yield one.id

    def _returning(self, staying: List[Recorded]) -> Iterator[Returning]:
        """Yield what comes back: images that would start, and layers that images here lack."""
        layers = {layer for one in staying for layer in self._lacking(one)}
        names = {name for one in staying for name in one.names}
        ids = {one.id for one in staying}
        images: Dict[str, List[Recorded]] = {}
        for here in self._aside:
            for one in here.records[IMAGES].values():
                if one.id not in ids and not self._all.missing(one.below):
                    ids.add(one.id)
                    layers.update(self._lacking(one))
                    images.setdefault(here.place, []).append(_renamed(one, names))
                    names.update(one.names)
        for here in self._aside:
            coming = [self._all.own[one] for one in layers if self._places[one] is here]
            if coming or here.place in images:
                yield Returning(here, tuple(images.get(here.place, ())), tuple(coming))

    def _lacking(self, image: Recorded) -> Iterator[str]:
        """Yield the layers of an image that are aside."""
        for top in image.below:
            yield from (one for one in self._all.chain(top) if one in self._places)


def _renamed(image: Recorded, taken: Set[str]) -> Recorded:
    """Return an image with those of its names that no other image has by now."""
    names = tuple(one for one in image.names if one not in taken)
    return replace(image, names=names, document={**image.document, "names": list(names)})


def called(image: Recorded) -> str:
    """Return what people call an image."""
    names = f" ({', '.join(image.names)})" if image.names else ""
    return f"image {image.id[:12]}{names}"
