"""Find the broken images of a storage, the images aside that can come back, and their layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, Iterator, List, Set, Tuple

from importer.device.aside import Place, moved
from importer.device.folder import Folder, printable
from importer.device.lowers import mounts
from importer.device.records import (
    ALL_LAYERS,
    CONTAINERS,
    IMAGES,
    LAYERS,
    Chains,
    DeviceStores,
    Recorded,
    recorded,
)


@dataclass(frozen=True)
class Broken:
    """An image, and a layer of it that is in no store."""

    image: Recorded
    missing: str


@dataclass(frozen=True)
class Returning:
    """Records of one number that come back, by the storage's files of records."""

    there: Place
    records: Dict[str, List[Recorded]]


@dataclass(frozen=True)
class Treatment:
    """`broken` images and `layers` go aside, unless there are `doubts`; `returning` come back.

    `stuck`: the ids of containers that cannot start. `linked`: layers whose parents have other
    links by now. `deleted`: everything aside is deleted. With `dry_run`, nothing was changed.
    """

    broken: Tuple[Broken, ...] = ()
    layers: Tuple[str, ...] = ()
    returning: Tuple[Returning, ...] = ()
    stuck: Tuple[str, ...] = ()
    doubts: Tuple[str, ...] = ()
    linked: Tuple[str, ...] = ()
    deleted: bool = False
    dry_run: bool = False

    @property
    def is_well(self) -> bool:
        """Return whether no broken image had to stay because of a doubt."""
        return not (self.broken and self.doubts)

    def lines(self) -> List[str]:
        """Return what to tell people, a line each."""
        would = "would be " if self.dry_run else ""
        goes = "stays" if self.doubts else f"{would}moved aside"
        lines = [
            f"{broken.image.label}: {goes}, since no store has its layer {broken.missing[:12]}"
            for broken in self.broken
        ]
        lines += [f"layer {layer}: {goes}" for layer in self.layers]
        lines += [f"{image.label}: {would}brought back" for image in self._returning_images()]
        lines += [f"layer {layer}: names its parents' links of today" for layer in self.linked]
        lines += [
            f"container {container[:12]} cannot start, since its image's layers are gone; it stays,"
            " and so do its files: `podman rm` or `crictl rm` removes it"
            for container in self.stuck
        ]
        lines += [f"in doubt: {doubt}" for doubt in self.doubts] if lines else []
        lines += [f"all that is aside: {would}deleted"] if self.deleted else []
        return [printable(line) for line in lines] or ["nothing is broken"]

    def document(self) -> Dict[str, object]:
        return {
            "dry_run": self.dry_run,  # whether nothing was changed
            # the images with a layer that no store has
            "images": [
                {
                    "image_id": broken.image.id,  # the image's id
                    "names": list(broken.image.names),  # its names
                    "missing_layer": broken.missing,  # the id of the layer
                }
                for broken in self.broken
            ],
            "layers": list(self.layers),  # ids of layers whose parents are gone
            # whether these images and layers were moved aside
            "moved_aside": not self.doubts and not self.dry_run,
            # the images that were brought back, or would be
            "returned": [
                {
                    "image_id": image.id,  # the image's id
                    "names": list(image.names),  # the names that it has now
                }
                for image in self._returning_images()
            ],
            "linked_layers": list(self.linked),  # ids of layers whose `lower` was written anew
            "stuck_containers": list(self.stuck),  # ids of containers that cannot start
            "doubts": list(self.doubts),  # why nothing is moved aside, a line each
            "deleted": self.deleted,  # whether all that is aside is deleted
        }

    def _returning_images(self) -> List[Recorded]:
        return [image for each in self.returning for image in each.records[IMAGES]]


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
        self._places: Dict[str, Place] = {}
        layers = dict(self._own.own)
        for there in self._aside:
            for layer in there.records[LAYERS].values():
                if layer.id not in layers:
                    layers[layer.id], self._places[layer.id] = layer, there
        self._all = Chains(layers, stores.layers)

    def treatment(self) -> Treatment:
        chains = ((image, self._all.missing(image.below)) for image in self._images.values())
        broken = tuple(Broken(image, missing) for image, missing in chains if missing)
        doubts = (*self._stores.doubts, *self._own_doubts())
        going = set() if doubts else {each.image.id for each in broken}
        return Treatment(
            broken,
            tuple(self._broken_layers()),
            tuple(self._returning([own for own in self._images.values() if own.id not in going])),
            () if doubts else tuple(self._stuck()),
            doubts,
        )

    def _own_doubts(self) -> Iterator[str]:
        """Yield a line if the storage has images, and an empty file of layers."""
        status = self._storage.status(LAYERS)
        if any(image.below for image in self._images.values()) and not (status and status.st_size):
            yield f"{self._storage.path / LAYERS} is empty or absent"

    def _broken_layers(self) -> Iterator[str]:
        """Yield the layers whose parents are gone, except those below containers."""
        needed: Set[str] = set()
        for container in self._containers.values():
            for top in container.below:
                needed.update(self._all.chain(top))
        for layer in recorded(self._storage, [LAYERS]):
            if layer not in needed and self._all.missing([layer]):
                yield layer

    def _stuck(self) -> Iterator[str]:
        """Yield the containers that lack a layer: by their own files, else by the records."""
        for container in self._containers.values():
            for layer in container.below:
                mounted = mounts(self._storage, layer, self._stores.folders)
                if mounted is False or (mounted is None and self._own.missing([layer])):
                    yield container.id

    def _returning(self, staying: List[Recorded]) -> Iterator[Returning]:
        """Yield the images aside that would start, and the layers aside that images need."""
        layers = {layer for image in staying for layer in self._lacking(image)}
        names = {name for image in staying for name in image.names}
        ids = {image.id for image in staying}
        images: Dict[str, List[Recorded]] = {}
        for there in self._aside:
            for image in there.records[IMAGES].values():
                if image.id not in ids and not self._all.missing(image.below):
                    ids.add(image.id)
                    layers.update(self._lacking(image))
                    images.setdefault(there.prefix, []).append(_renamed(image, names))
                    names.update(image.names)
        for there in self._aside:
            coming = [self._all.own[layer] for layer in layers if self._places[layer] is there]
            if coming or there.prefix in images:
                yield Returning(there, {IMAGES: images.get(there.prefix, []), LAYERS: coming})

    def _lacking(self, image: Recorded) -> Iterator[str]:
        """Yield the layers of an image that are aside."""
        for top in image.below:
            yield from (layer for layer in self._all.chain(top) if layer in self._places)


def _renamed(image: Recorded, taken: Set[str]) -> Recorded:
    """Return the image without the names in `taken`."""
    names = tuple(name for name in image.names if name not in taken)
    return replace(image, names=names, document={**image.document, "names": list(names)})
