"""Tell how the layers of a store delete files: by quoted whiteouts, or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.stack import deletes
from importer.repo.commit_keys import FLATTEN, FORM, STORE_WHITEOUTS
from layers.document import MAX_RECORDS_SIZE
from layers.storage.layer_record import any_layers
from layers.storage.mounted import blocker_of
from layers.storage.store_id import StoreForm, Whiteouts, form_of, standard_ids

if TYPE_CHECKING:
    from importer.repo.values import Commit, RepoDirectory

_STORE = "store"


def said_whiteouts(commit: Commit | None) -> Whiteouts | None:
    """Return the form that a commit's metadata tells; None for flattened stores and others'."""
    if commit is None or commit.metadata.get(FORM) != _STORE or FLATTEN in commit.metadata:
        return None
    return Whiteouts(commit.metadata.get(STORE_WHITEOUTS, Whiteouts.QUOTED.value))


def whiteouts_in(store: RepoDirectory) -> Whiteouts | None:
    """Return the form of a store by its layers' ids and trees.

    Return None for a store that has neither private ids of a form nor whiteouts: it fits both.
    Raise LayerError if its layers.json cannot be read.
    """
    forms = {form_of(*one) for one in standard_ids_in(store).items()}
    if StoreForm.NONE in forms:
        return Whiteouts.NONE
    overlay = store.find("overlay")
    if StoreForm.QUOTED in forms or (overlay is not None and deletes(overlay)):
        return Whiteouts.QUOTED
    return None


def standard_ids_in(store: RepoDirectory) -> dict[str, str]:
    """Return the standard ids of a store's layers by their ids in the store.

    Raise LayerError if its layers.json cannot be read.
    """
    records = store.find("overlay-layers")
    raw = records.read("layers.json", MAX_RECORDS_SIZE) if records else None
    return standard_ids(any_layers(raw)) if raw and raw.strip() != b"null" else {}


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
