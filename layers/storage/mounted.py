"""Name the trees that overlayfs mounts for a layer, write the files that list them, and judge
whether containers on a device start again when another store takes a store's place.

containers-storage mounts what a layer's own files list, whatever layers.json says of its parents
(drivers/overlay/overlay.go, `get`). Up to 1.62 it reads `lower`, which has names of symlinks under
`overlay/l`. From 1.63 on (podman 6; Debian's podman 5.8.6 has 1.64) it reads `lower-layers`, which
has ids, and appends `/diff` to each. Without that file it takes the id out of each symlink's
target, which therefore has to be `../<id>/diff`. A new layer or container gets the lists of the
layer below, with that layer before them.

A *blocker* is a tree that is mounted directly below a layer, in a directory of its own that no
record names. The blocker is the first in the layer's lists, where other layers have their parent:
therefore `podman image diff` compares the mounted trees (`isParent`), and does not look for
whiteouts in `diff`, where it would find no deletion.

A blocker has a symlink that leads nowhere in the place of each directory that it ends. overlayfs
would take a file, too, but `podman diff` looks for each changed path in all lower directories, and
fails where a part of the path is a file (pkg/archive/changes.go, `changes`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from layers.frozen import frozen
from layers.storage.holders import Holder, first_missing
from layers.storage.layer_id import StoreForm, form_of, link_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

TARGET = "nothing-below"


class MountedTree(NamedTuple):
    """The tree `overlay/<id>/diff`; `link` is its name under `overlay/l`."""

    id: str
    link: str

    @property
    def target(self) -> str:
        """Return where the link leads."""
        return f"../{self.id}/diff"


def blocker_of(store_id: str) -> MountedTree:
    """Return the place of the blocker of a layer, given by its id in the store."""
    blocker_id = sha256(f"blocker{store_id}".encode()).hexdigest()
    return MountedTree(blocker_id, link_name(blocker_id))


def mounted[L, T](
    layers: Iterable[L],
    tree: Callable[[L], T],
    blocker: Callable[[L], T | None],
    is_cut: Callable[[L], bool],
) -> list[T]:
    """Return what overlayfs mounts for a chain of layers, nearest first: each layer's own tree and
    its blocker, down to the nearest cut layer."""
    trees: list[T] = []
    for layer in layers:
        trees.append(tree(layer))
        if (blocking := blocker(layer)) is not None:
            trees.append(blocking)
        if is_cut(layer):
            break
    return trees


def lower_files(below: Sequence[MountedTree]) -> dict[str, bytes]:
    """Return the files that list the trees below a layer, nearest first; {} for no trees."""
    if not below:
        return {}
    return {
        Holder.LINKS.value: ":".join(f"l/{tree.link}" for tree in below).encode(),
        Holder.IDS.value: ":".join(tree.id for tree in below).encode(),
    }


@frozen
class Obstacle:
    """A layer that keeps the containers of an image from starting."""

    cause: str  # `missing-layer`, `form`, `ids` or `links`
    layer_id: str  # the first layer that B does not have under that name, by its standard id


@frozen
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
    return Obstacle("form" if reshaped else _cause(missing, standard_id, new), standard_id)


def _cause(old_id: str, standard_id: str, new: StoreNames) -> str:
    """Return why a layer of the old store has other names in the new one."""
    present = [own for own, standard in new.standard_ids.items() if standard == standard_id]
    if not present:
        return "missing-layer"
    forms = {_form(own, standard_id) for own in present}
    if _form(old_id, standard_id) not in forms:
        return "form"
    return "links" if old_id in present else "ids"


def _form(store_id: str, standard_id: str) -> StoreForm:
    """Return the form of a layer. Only layers with whiteouts have standard ids."""
    return form_of(store_id, standard_id) or StoreForm.QUOTED
