"""The form of a store: whether its layers delete files by quoted whiteouts, or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.stack import deletes
from importer.repo.commit_keys import FLATTEN, FORM, STORE_WHITEOUTS
from importer.store.layers import standard_ids_in
from layers.storage.layer_id import StoreForm, Whiteouts, form_of
from layers.storage.mounted import blocker_of

if TYPE_CHECKING:
    from importer.repo.values import Commit, RepoDirectory

_STORE = "store"


def recorded_whiteouts(commit: Commit | None) -> Whiteouts | None:
    """Return the form in a commit's metadata; None for a flattened store and another tool's."""
    if commit is None or commit.metadata.get(FORM) != _STORE or FLATTEN in commit.metadata:
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
