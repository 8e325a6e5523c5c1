"""Compare a store's records, links and lists of lower layers with each other and with its trees."""

from __future__ import annotations

from typing import Iterator, Optional, Sequence

from importer.device.folder import Folder
from importer.device.lowers import link_of, lower_tree, names_by
from importer.device.records import ALL_LAYERS, IMAGES, Chains, DeviceStores, Recorded, recorded
from importer.device.treatment import called
from layers.storage.holders import Holder, first_missing

# Without it on a read-only file system, containers-storage sees no image, or fails (store.go).
_LOCKS = {
    "overlay-layers/layers.lock": "every command of podman fails",
    "overlay-images/images.lock": "podman and CRI-O see none of its images",
}


def damages(store: Folder, stores: DeviceStores) -> Iterator[str]:
    """Yield a line for each mismatch in a store; its layers may be in the other stores."""
    for lock, effect in _LOCKS.items():
        if store.status(lock) is None:
            yield f"{lock} is absent: {effect}"
    chains = Chains(recorded(store, ALL_LAYERS), stores.layers)
    for image in recorded(store, [IMAGES]).values():
        missing = chains.missing(image.below)
        if missing:
            yield f"no store has layer {missing[:12]} of {called(image)}"
        if store.status(f"overlay-images/{image.id}") is None:
            yield f"the documents of {called(image)} are absent"
    for layer in chains.own.values():
        for problem in _of_layer(store, layer, chains, stores.folders):
            yield f"layer {layer.id[:12]}: {problem}"


def _of_layer(
    store: Folder, layer: Recorded, chains: Chains, places: Sequence[Folder]
) -> Iterator[str]:
    if store.status(f"overlay/{layer.id}/diff") is None:
        yield "its tree is absent"
        return
    link = link_of(store, layer.id)
    target = store.target(f"overlay/l/{link}") if link else None
    if link is None:
        yield "its file link is absent, or names none"
    elif target != f"../{layer.id}/diff":
        yield f"its link {link} {f'leads to {target}' if target else 'is absent'}"
    below = {holder: names_by(store, layer.id, holder) for holder in Holder}
    for holder, names in below.items():
        missing = first_missing(names or (), lambda name: lower_tree(name, places) is not None)
        if missing:
            yield f"its file {holder.value} names {missing}, and no store has that"
            return
    by_id, by_link = ([_id(name, places) for name in below[holder] or ()] for holder in Holder)
    if below[Holder.IDS] is not None and by_id != by_link:
        yield "its files lower and lower-layers name different trees"
    parents = set(chains.chain(layer.id))
    for other in by_link:
        if other and other in chains.own and other not in parents:
            yield f"its file lower names layer {other[:12]}, which is none of its parents"


def _id(name: str, places: Sequence[Folder]) -> Optional[str]:
    tree = lower_tree(name, places)
    return tree[1].split("/")[1] if tree else None
