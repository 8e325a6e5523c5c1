"""Find what a device loses when one store takes the place of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.store.artifact_files import ArtifactChanges
from importer.store.layers import link_targets, read_link
from layers.frozen import frozen
from layers.storage.holders import Holder
from layers.storage.mounted import MountedTree, StoreNames

if TYPE_CHECKING:
    from importer.repo.reader import RepoReader
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from layers.storage.artifact import Artifact


@frozen
class LostLayer:
    """A layer of the old store that the new one does not have under the same id."""

    layer_id: str  # the layer's id
    store_layer_id: str  # the id that it has in the old store


@frozen
class Lost:
    """The images, layers and artifacts of an old store that the new one lacks.

    A pod of such an image or artifact has to pull it. Such a layer is lost to the two holders that
    know layers by ids (layers/storage/holders.py): containers that containers-storage from 1.63 on
    has made, and images that a device pulled or built beside a store with standard ids.
    `check-upgrade` judges by links as well.
    """

    images: tuple[ImageView, ...]  # [ImageView]: a list of images
    layers: tuple[LostLayer, ...]  # [LostLayer]: a list of layers
    artifacts: tuple[Artifact, ...]  # [Artifact]: a list of artifacts whose name B lacks

    def __bool__(self) -> bool:
        return bool(self.images or self.layers or self.artifacts)


def find_lost(old: StoreView | None, new: StoreView) -> Lost:
    """Compare two stores by the ids that containers-storage knows; None is an empty store."""
    if old is None:
        return Lost((), (), ())
    present = {image.id for image in new.images}
    images = tuple(image for image in old.images if image.id not in present)
    layers = tuple(
        LostLayer(old.standard_ids.get(layer_id, layer_id), layer_id)
        for layer_id in old.layers
        if layer_id not in new.layers
    )
    return Lost(images, layers, ArtifactChanges.of(old, new).removed)


def names_in(repo: RepoReader, store: StoreView) -> StoreNames:
    """Return the names by which containers and images know a store's layers."""
    overlay = store.root.find("overlay")
    directories = overlay.directories.items() if overlay is not None else ()
    ids = frozenset(name.decode() for name, tree in directories if b"diff" in tree.directories)
    targets = link_targets(repo, store.root).items()
    links = {link: target[3:-5] for link, target in targets if target[3:-5] in ids}
    return StoreNames(ids, links, store.standard_ids)


def mounted_for(store: StoreView, image: ImageView, names: StoreNames) -> tuple[MountedTree, ...]:
    """Return the trees that the driver mounts for an image of the store, nearest first.

    The driver writes the link of the image's top layer, and what the layer's file `lower` has, into
    each container (drivers/overlay/overlay.go, `getLower`).
    """
    if not image.layers:
        return ()
    top = image.layers[-1].id
    lower = store.root.read(f"overlay/{top}/{Holder.LINKS.value}") or b""
    below = [name.removeprefix("l/") for name in lower.decode(errors="replace").split(":") if name]
    links = (read_link(store.root, top), *below)
    return tuple(MountedTree(names.links.get(link, ""), link) for link in links)
