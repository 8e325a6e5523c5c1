"""The ids and links that layers have in one store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from importer.cache.layer import record_name
from importer.store.remove_layer import link_target, read_link
from importer.store.whiteouts import standard_ids_in
from layers.storage.mounted import MountedTree, blocker_of
from layers.storage.store_id import LayerIds, StoreForm, possible_links, private_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.cache.layer import LayerCommit
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from layers.storage.image import ImageLayer


@dataclass(frozen=True, slots=True)
class LayerNames:
    """Each layer's id in the store, and its name under `overlay/l`, by its standard id.

    `form` is that of the layers; `cut` are the standard ids of those below which overlayfs mounts
    nothing, `blocked` of those with a blocker.
    """

    ids: Mapping[str, str]
    links: Mapping[str, str]
    form: StoreForm
    cut: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        repo: Repo,
        layers: Mapping[str, LayerCommit],
        which: LayerIds,
        form: StoreForm,
        present: RepoDirectory | None,
    ) -> Self:
        """Name the layers, which are given by their standard ids.

        A layer without a tar-split file keeps its standard id: containers-storage would copy
        it with other bytes than its digest says. `present` is the store that the layers are
        added to.
        """
        private = {one for one, layer in layers.items() if layer.record is not None}
        if which is LayerIds.STANDARD:
            private.clear()
        ids = {one: private_id(one, form) if one in private else one for one in layers}
        links = {one: _link(repo, ids[one], one, present) for one in ids}
        blocked = frozenset(one for one, layer in layers.items() if layer.blocker is not None)
        holding = (one for one, layer in layers.items() if layer.added_entries is not None)
        return cls(ids, links, form, frozenset(holding) - blocked, blocked)

    def chain(self, layer: ImageLayer) -> tuple[MountedTree, ...]:
        """Return a layer's tree and all that overlayfs mounts below it."""
        found: list[MountedTree] = []
        for one in (layer.id, *layer.parents):
            found.append(MountedTree(self.ids[one], self.links[one]))
            if one in self.blocked:
                found.append(blocker_of(self.ids[one]))
            if one in self.cut:
                break
        return tuple(found)


def _link(repo: Repo, store_id: str, standard_id: str, present: RepoDirectory | None) -> str:
    """Return the link that the layer has, or the first one that leads to no other layer."""
    usual, other = possible_links(store_id, standard_id)
    if present is None or read_link(present, store_id) == usual:
        return usual
    links = present.find("overlay/l")
    target = link_target(repo, links, usual) if links is not None else None
    free = target in (None, f"../{store_id}/diff")
    return usual if free and read_link(present, store_id) != other else other


def layer_ids_of(store: RepoDirectory) -> LayerIds:
    """Return which ids a store has, by its layers that have a tar-split file.

    A store without such layers is taken to have private ids, as a new one. Raise LayerError
    if its layers.json cannot be read.
    """
    records = store.find("overlay-layers")
    standard = {one for one, known in standard_ids_in(store).items() if one == known}
    split = records.leaves if records else {}
    has_standard = any(record_name(one).encode() in split for one in standard)
    return LayerIds.STANDARD if has_standard else LayerIds.PRIVATE
