"""Take a layer out of a store, with everything that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.layer import record_name
from layers.storage.layer_id import link_name
from layers.storage.mounted import blocker_of

if TYPE_CHECKING:
    from importer.repo.reader import RepoReader
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory


def remove_layer(repo: RepoReader, tree: Tree, store: RepoDirectory, layer_id: str) -> None:
    """Remove a layer, by its id in the store, from `tree`, which is a copy of `store`.

    Its record in layers.json stays; the caller writes that file anew.
    """
    overlay, records = tree.enter("overlay"), tree.enter("overlay-layers")
    if overlay is not None:
        links = overlay.enter("l")
        for one in (layer_id, blocker_of(layer_id).id):
            overlay.remove(one)
            for name in _links(repo, store, one):
                if links is not None:
                    links.remove(name)
    if records is not None:
        records.remove(record_name(layer_id))
        records.remove(layer_id)  # where containers-storage has more data of a layer


def _links(repo: RepoReader, store: RepoDirectory, layer_id: str) -> list[str]:
    """Return the names under `overlay/l` that lead to the layer."""
    links = store.find("overlay/l")
    names = {link_name(layer_id), read_link(store, layer_id)}
    place = f"../{layer_id}/diff"
    return [name for name in names if links is not None and link_target(repo, links, name) == place]


def read_link(store: RepoDirectory, layer_id: str) -> str:
    """Return the content of a layer's file `link`, or "" if there is none.

    containers-storage draws it at random; ours is one of `possible_links`.
    """
    layer = store.find(f"overlay/{layer_id}")
    return ((layer and layer.read("link")) or b"").decode(errors="replace")


def link_target(repo: RepoReader, links: RepoDirectory, name: str) -> str | None:
    """Return where a name under `overlay/l` leads, or None if there is no such name."""
    leaf = links.leaves.get(name.encode())
    return repo.file(leaf).target if leaf is not None else None
