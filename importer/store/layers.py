"""The layers of one store: their records, ids, links and form; and how to remove a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from importer.cache.branches import is_blob
from importer.cache.layer import record_name
from importer.cache.stack import deletes
from importer.repo.commit_keys import FLATTEN, FORM, STORE_WHITEOUTS
from layers.digest import Digest
from layers.document import MAX_RECORDS_SIZE
from layers.frozen import frozen
from layers.path import Path, components
from layers.storage.artifact import ARTIFACTS, blob_path
from layers.storage.layer_id import (
    LayerIds,
    StoreForm,
    Whiteouts,
    form_of,
    link_name,
    possible_links,
    private_id,
)
from layers.storage.layer_record import any_layers, standard_ids
from layers.storage.mounted import MountedTree, blocker_of, mounted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.cache.layer import LayerCommit
    from importer.repo.reader import RepoReader
    from importer.repo.tree import Tree
    from importer.repo.values import Commit, RepoDirectory
    from importer.repo.writer import Repo
    from layers.storage.image import ImageLayer

LAYERS = "overlay-layers/layers.json"
IMAGES = "overlay-images/images.json"
# The directories of a store.
PARTS = ("overlay", "overlay-layers", "overlay-images", ARTIFACTS)
# Records without an image or layer, as packages of podman install them.
NO_RECORDS = (b"", b"[]", b"null")


def standard_ids_in(store: RepoDirectory) -> dict[str, str]:
    """Return the standard ids of a store's layers by their ids in the store.

    Raise LayerError if its layers.json cannot be read.
    """
    raw = store.read(LAYERS, MAX_RECORDS_SIZE)
    return standard_ids(any_layers(raw)) if raw and raw.strip() != b"null" else {}


def layer_ids_of(store: RepoDirectory) -> LayerIds:
    """Return which ids a store has, by its layers that have a tar-split file.

    A store without such layers counts as one with private ids, as a new store. Raise LayerError
    if its layers.json cannot be read.
    """
    records = store.find("overlay-layers")
    split = records.leaves if records else {}
    has_standard = any(
        record_name(store_id).encode() in split
        for store_id, standard_id in standard_ids_in(store).items()
        if store_id == standard_id
    )
    return LayerIds.STANDARD if has_standard else LayerIds.PRIVATE


def recorded_whiteouts(commit: Commit | None) -> Whiteouts | None:
    """Return the form in a commit's metadata; None for a flattened store and another tool's."""
    if commit is None or commit.metadata.get(FORM) != "store" or FLATTEN in commit.metadata:
        return None
    return Whiteouts(commit.metadata.get(STORE_WHITEOUTS, Whiteouts.QUOTED.value))


def whiteouts_in(store: RepoDirectory) -> Whiteouts | None:
    """Return the form of a store by its layers' ids and trees.

    Return None for a store without private ids and without whiteouts, which fits both forms.
    Raise LayerError if its layers.json cannot be read.
    """
    forms = {form_of(*ids) for ids in standard_ids_in(store).items()}
    if StoreForm.NONE in forms:
        return Whiteouts.NONE
    overlay = store.find("overlay")
    if StoreForm.QUOTED in forms or (overlay is not None and deletes(overlay)):
        return Whiteouts.QUOTED
    return None


def is_cut(store: RepoDirectory, store_id: str, standard_id: str) -> bool:
    """Return whether overlayfs mounts no other layers below this one, though it has parents.

    That is how containers-storage reads a layer without a file `lower` (overlay.go, `get`). A
    layer of another form that has lost this file is damaged.
    """
    if store_id == standard_id or form_of(store_id, standard_id) is not StoreForm.NONE:
        return False
    layer = store.find(f"overlay/{store_id}")
    return layer is not None and b"lower" not in layer.leaves


def blocker_in(store: RepoDirectory, store_id: str) -> RepoDirectory | None:
    """Return the tree that hides the directories which a layer holds whole, or None."""
    return store.find(f"overlay/{blocker_of(store_id).id}/diff")


def layer_parts(store: RepoDirectory, store_id: str) -> dict[Path, RepoDirectory | str]:
    """Return a layer's directory, blocker and tar-split record, by their paths in the store, as far
    as the store has them; or the file of an artifact's blob, whose id is its digest."""
    if is_blob(store_id):
        path = blob_path(Digest.parse(store_id))
        leaf = store.leaf(path)
        return {components(path.encode()): leaf} if leaf is not None else {}
    trees = (f"overlay/{name}" for name in (store_id, blocker_of(store_id).id))
    record = f"overlay-layers/{record_name(store_id)}"
    parts = {**{path: store.find(path) for path in trees}, record: store.leaf(record)}
    return {components(path.encode()): part for path, part in parts.items() if part is not None}


@frozen
class LayerNames:
    """Each layer's id in the store, and its name under `overlay/l`, by its standard id.

    `form` is that of the layers. `cut`: standard ids of the layers below which overlayfs mounts
    nothing. `blocked`: standard ids of the layers with a blocker.
    """

    ids: Mapping[str, str]
    links: Mapping[str, str]
    form: StoreForm
    cut: frozenset[str]
    blocked: frozenset[str]

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

        A layer without a tar-split file keeps its standard id: containers-storage would copy such
        a layer with other bytes than its digest says. `present` is the store that the layers are
        added to.
        """
        ids = {
            layer_id: private_id(layer_id, form)
            if which is LayerIds.PRIVATE and layer.record is not None
            else layer_id
            for layer_id, layer in layers.items()
        }
        links = {layer_id: _link(repo, ids[layer_id], layer_id, present) for layer_id in ids}
        blocked = frozenset(
            layer_id for layer_id, layer in layers.items() if layer.blocker is not None
        )
        holding = (
            layer_id for layer_id, layer in layers.items() if layer.added_entries is not None
        )
        return cls(ids, links, form, frozenset(holding) - blocked, blocked)

    def chain(self, layer: ImageLayer) -> tuple[MountedTree, ...]:
        """Return a layer's tree and all that overlayfs mounts below it."""
        trees = mounted(
            (layer.id, *layer.parents),
            lambda layer_id: MountedTree(self.ids[layer_id], self.links[layer_id]),
            lambda layer_id: blocker_of(self.ids[layer_id]) if layer_id in self.blocked else None,
            self.cut.__contains__,
        )
        return tuple(trees)


def _link(repo: Repo, store_id: str, standard_id: str, present: RepoDirectory | None) -> str:
    """Return the link that the layer has, or the first one that leads to no other layer."""
    usual, other = possible_links(store_id, standard_id)
    if present is None or read_link(present, store_id) == usual:
        return usual
    free = _link_target(repo, present, usual) in (None, f"../{store_id}/diff")
    return usual if free and read_link(present, store_id) != other else other


def read_link(store: RepoDirectory, layer_id: str) -> str:
    """Return the content of a layer's file `link`, or "" if there is none.

    containers-storage draws it at random; ours is one of `possible_links`.
    """
    return (store.read(f"overlay/{layer_id}/link") or b"").decode(errors="replace")


def _link_target(repo: RepoReader, store: RepoDirectory, name: str) -> str | None:
    """Return where a name under `overlay/l` leads, or None if there is no such name."""
    leaf = store.leaf(f"overlay/l/{name}")
    return repo.file(leaf).target if leaf is not None else None


def link_targets(repo: RepoReader, store: RepoDirectory) -> dict[str, str]:
    """Return where each name under `overlay/l` leads."""
    links = store.find("overlay/l")
    leaves = links.leaves.items() if links is not None else ()
    targets = {name.decode(errors="replace"): repo.file(leaf).target for name, leaf in leaves}
    return {name: target for name, target in targets.items() if target is not None}


def remove_layer(repo: RepoReader, tree: Tree, store: RepoDirectory, layer_id: str) -> None:
    """Remove a layer, by its id in the store, from `tree`, which is a copy of `store`.

    Its record in layers.json stays; the caller writes that file anew.
    """
    overlay, records = tree.enter("overlay"), tree.enter("overlay-layers")
    if overlay is not None:
        links = overlay.enter("l")
        for directory in (layer_id, blocker_of(layer_id).id):
            overlay.remove(directory)
            for name in {link_name(directory), read_link(store, directory)}:
                if links is not None and _link_target(repo, store, name) == f"../{directory}/diff":
                    links.remove(name)
    if records is not None:
        records.remove(record_name(layer_id))
        records.remove(layer_id)  # where containers-storage has more data of a layer
