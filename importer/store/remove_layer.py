"""A layer that goes out of a store, with all that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.layer import record_name
from layers.storage.layer_id import link_name

if TYPE_CHECKING:
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory


def remove_layer(tree: Tree, store: RepoDirectory, layer_id: str) -> None:
    """Take it out of `tree`, a copy of the `store`, but for its record in layers.json."""
    overlay, records = tree.enter("overlay"), tree.enter("overlay-layers")
    if overlay is not None:
        overlay.remove(layer_id)
        for name in (link_name(layer_id), _drawn_link(store, layer_id)):
            _remove_link(overlay, name)
    if records is not None:
        records.remove(record_name(layer_id))
        records.remove(layer_id)  # where containers-storage has more data of a layer


def _drawn_link(store: RepoDirectory, layer_id: str) -> str:
    """The layer's link, whose name containers-storage draws at random; "" if there is none."""
    layer = store.find(f"overlay/{layer_id}")
    return ((layer and layer.read("link")) or b"").decode(errors="replace")


def _remove_link(overlay: Tree, name: str) -> None:
    links = overlay.enter("l")
    if links is not None and name:
        links.remove(name)
