"""Judge whether containers on a device start again when another store takes a store's place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from layers.storage.holders import Holder, first_missing
from layers.storage.layer_id import StoreForm, form_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from layers.storage.mounted import MountedTree


class Cause(Enum):
    """The difference between two stores that keeps a container from starting."""

    MISSING = "missing-layer"
    FORM = "form"
    IDS = "ids"
    LINKS = "links"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A layer that keeps the containers of an image from starting."""

    cause: str  # `missing-layer`, `form`, `ids` or `links`
    layer_id: str  # the first layer that B does not have under that name, by its standard id


@dataclass(frozen=True, slots=True)
class StoreNames:
    """The names of a store's trees, as the driver of containers-storage looks for them.

    `ids`: the ids of all trees, blockers included. `links`: the id of the tree behind each link,
    without broken links. `standard_ids`: the standard id of each layer by its id in the store.
    """

    ids: frozenset[str]
    links: Mapping[str, str]
    standard_ids: Mapping[str, str]

    def has(self, tree: MountedTree, holder: Holder) -> bool:
        """Return whether the holder finds a tree that it knows from another store."""
        return tree.id in self.ids if holder is Holder.IDS else tree.link in self.links

    def ids_of(self, standard_id: str) -> list[str]:
        """Return the ids that the store has for a layer, given by its standard id."""
        return [own for own, standard in self.standard_ids.items() if standard == standard_id]


def obstacle(
    trees: Sequence[MountedTree],
    holder: Holder,
    old: StoreNames,
    new: StoreNames,
    *,
    reshaped: bool = False,
) -> Obstacle | None:
    """Return why a container over these trees of the old store does not start over the new one.

    `trees` are an image's, nearest first. `reshaped` tells that the image is flattened in just one
    of the stores. Return None if the container starts.
    """
    by_id = {tree.id: tree for tree in trees}
    missing = first_missing(by_id, lambda tree: new.has(by_id[tree], holder))
    if missing is None:
        return None
    standard_id = old.standard_ids.get(missing, missing)
    cause = Cause.FORM if reshaped else _cause(missing, standard_id, new)
    return Obstacle(cause.value, standard_id)


def _cause(old_id: str, standard_id: str, new: StoreNames) -> Cause:
    """Return why a layer of the old store has other names in the new one."""
    present = new.ids_of(standard_id)
    if not present:
        return Cause.MISSING
    forms = {_form(own, standard_id) for own in present}
    if _form(old_id, standard_id) not in forms:
        return Cause.FORM
    return Cause.LINKS if old_id in present else Cause.IDS


def _form(store_id: str, standard_id: str) -> StoreForm:
    """Return the form of a layer. Only layers with whiteouts have standard ids."""
    return form_of(store_id, standard_id) or StoreForm.QUOTED
