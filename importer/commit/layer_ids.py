"""Choose the layer ids of a new store: the user's choice, or the kind that the last store has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.target import ExistingStore, Form
from importer.errors import ImporterError
from importer.repo import commit_keys as key
from importer.store.layers import layer_ids_of
from importer.store.writer import has_records, reading_present
from layers.storage.layer_id import LayerIds, Whiteouts

if TYPE_CHECKING:
    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit, RepoDirectory
    from importer.repo.writer import Repo

_CHANGED = "{branch}: the layers of the store have {now} ids now, and had {before} ones. {devices}"
_CONTAINERS = (
    "containers that podman 6 or Debian's podman 5.8.6 has made have to be made again; those of"
    " earlier versions still start"
)
_DEVICES = {
    LayerIds.PRIVATE: (
        "On devices with the old store, an image that was pulled beside it and shares layers with"
        " it is broken, and CRI-O lists no image at all until `image-store heal` or `podman rmi -f`"
        f" has taken it away; {_CONTAINERS}"
    ),
    LayerIds.STANDARD: (
        "On devices, an image that is pulled beside the store has the store's layers as its"
        f" parents, and breaks when a later release drops one. On devices with the old store,"
        f" {_CONTAINERS}"
    ),
}


def chosen_layer_ids(
    target: Target,
    repo: Repo,
    base: Base | None,
    last: Commit | None = None,
    whiteouts: Whiteouts = Whiteouts.QUOTED,
) -> LayerIds:
    """Return the ids of a new store's layers.

    The user's choice counts first. A release keeps to the ids of its branch's `last` commit, and
    a store that images are merged into keeps to its own. Other stores have private ids, and so has
    each store without whiteouts: an image that was pulled over the same id in another form would
    have other files. Raise ImporterError if the user wants standard ids there.
    """
    if whiteouts is Whiteouts.NONE:
        if target.layer_ids is LayerIds.STANDARD:
            raise ImporterError(
                "a store without whiteouts cannot have standard layer ids",
                hint="leave --layer-ids=standard out, or use --flatten",
            )
        return LayerIds.PRIVATE
    if target.layer_ids is not None:
        return target.layer_ids
    if last is not None:
        return said_layer_ids(last)
    present = present_store(repo, base, target.prefix)
    if present is not None and target.existing_store is ExistingStore.MERGE:
        with reading_present():
            return layer_ids_of(present)
    return LayerIds.PRIVATE


def present_store(repo: Repo, base: Base | None, prefix: str) -> RepoDirectory | None:
    """Return the store that a base commit has at the prefix, or None if it has none."""
    store = repo.root(base.commit).find(prefix.strip("/")) if base else None
    return store if store is not None and has_records(store) else None


def said_layer_ids(commit: Commit) -> LayerIds:
    """Return the ids that a commit of ours says its store has."""
    return LayerIds(commit.metadata.get(key.LAYER_IDS, LayerIds.STANDARD.value))


def change_of_ids(branch: str, last: Commit | None, now: LayerIds) -> tuple[str, ...]:
    """Return what to tell the user of a branch whose store changes to other ids."""
    if last is None or last.metadata.get(key.FORM) != Form.STORE.value:
        return ()
    before = said_layer_ids(last)
    if before is now:
        return ()
    message = _CHANGED.format(
        branch=branch, now=now.value, before=before.value, devices=_DEVICES[now]
    )
    return (message,)
