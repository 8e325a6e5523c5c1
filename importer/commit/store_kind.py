"""Choose the kind of a new store: the ids of its layers, and how these delete files. The user's
choice comes first, then what the target needs, or what the last store has.

Both forms of whiteouts have the same images and layers, but other ids, links and trees. Devices
notice a change, so a branch keeps its form until the user asks for the other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.branches import layer_branch
from importer.cache.layer import find_layer
from importer.commit.base_tree import BaseCommit, BaseTree
from importer.commit.target import ExistingStore, Form
from importer.errors import ImporterError
from importer.repo import commit_keys as key
from importer.store.layers import layer_ids_of, recorded_whiteouts, whiteouts_in
from importer.store.writer import has_records, reading_present
from layers.storage.layer_id import LayerIds, StoreKind, Whiteouts, layer_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from importer.cache.layer import LayerCommit
    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit, RepoDirectory
    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from layers.storage.image import Image

_TAKEN = (
    "the base commit enables composefs, which shows no whiteouts: the store has none"
    " (--whiteouts=none)"
)
_UNDER_AN_OVERLAY = (
    "the base commit has system extensions, and deleted files of the images are there again while"
    " systemd-sysext has mounted them: whiteouts do not show through a second overlay."
    " --whiteouts=none makes a store that has none"
)
_DEVICES = "on devices with the old store, containers of its images have to be made again"


def chosen_kind(
    target: Target,
    repo: Repo,
    branch: str,
    base: Base | None,
    head: Commit | None,
    last: Commit | None = None,
) -> StoreKind:
    """Return the kind of a new store on a branch.

    `head` is the branch's commit. `last` is the same for a release, which keeps to its layer ids.
    Raise ImporterError if the choices exclude each other, if the base cannot have what was chosen,
    if the form would change without --whiteouts, or if the base's store, which stays, cannot change
    it.
    """
    if target.form is not Form.STORE or target.flatten:
        return StoreKind(chosen_layer_ids(target, repo, base, last))
    whiteouts = _chosen(target, repo, base)
    if target.whiteouts is None:
        _check_kept(target, repo, branch, base, head, whiteouts)
    images_to_convert(target, repo, base, whiteouts)
    return StoreKind(chosen_layer_ids(target, repo, base, last, whiteouts), whiteouts)


def _chosen(target: Target, repo: Repo, base: Base | None) -> Whiteouts:
    if not BaseCommit(repo, base).enables_composefs():
        return target.whiteouts or target.usual_whiteouts
    if target.whiteouts is Whiteouts.QUOTED:
        raise ImporterError(
            "the base commit enables composefs, which would show quoted whiteouts as files, and"
            " deleted files again",
            hint="without --whiteouts=quoted, the store has no whiteouts",
        )
    return Whiteouts.NONE


def _check_kept(
    target: Target,
    repo: Repo,
    branch: str,
    base: Base | None,
    head: Commit | None,
    chosen: Whiteouts,
) -> None:
    """Raise ImporterError if the branch, or the store that the base has, is of the other form."""
    before = {f"branch {branch}": recorded_whiteouts(head)}
    if target.existing_store is not ExistingStore.ERROR:
        present = present_store(repo, base, target.prefix)
        with reading_present():
            present_form = whiteouts_in(present) if present is not None else None
        before["the base commit"] = present_form
    composefs = BaseCommit(repo, base).enables_composefs()
    for place, form in before.items():
        if form not in (None, chosen):
            keeps = "" if composefs else f"--whiteouts={form.value} keeps to the form; "
            raise ImporterError(
                f"{place} has a store with --whiteouts={form.value}, and this import would write"
                f" one with --whiteouts={chosen.value}",
                hint=f"{keeps}--whiteouts={chosen.value} changes it: {_DEVICES}",
            )


def _change_of_whiteouts(branch: str, last: Commit | None, now: Whiteouts) -> tuple[str, ...]:
    """Return what to tell the user of a branch whose store changes to the other form."""
    before = recorded_whiteouts(last)
    if before in (None, now):
        return ()
    return (f"{branch}: the store is --whiteouts={now.value} now: {_DEVICES}",)


def changes(branch: str, last: Commit | None, now: StoreKind) -> tuple[str, ...]:
    """Return what to tell the user of a branch whose store changes to another kind."""
    form = _change_of_whiteouts(branch, last, now.whiteouts)
    return form + change_of_ids(branch, last, now.ids)


def under_an_overlay(base: BaseTree, layers: Iterable[LayerCommit]) -> list[str]:
    """Return what to tell the user of whiteouts that an overlay of the base's /usr would hide."""
    deletes = any(layer.whiteouts for layer in layers)
    return [_UNDER_AN_OVERLAY] if deletes and base.has_extensions() else []


def cuts(target: Target, base: BaseTree, added_entries: Mapping[str, int]) -> Iterator[str]:
    """Yield what to tell the user of a store without whiteouts.

    `added_entries` counts the entries that each layer holds beside its own.
    """
    if target.whiteouts is None and base.enables_composefs():
        yield _TAKEN
    if added_entries:
        yield (
            f"layers that delete files: {len(added_entries):,}, with"
            f" {sum(added_entries.values()):,} more entries of the layers below"
        )


_HINT = "import all images anew, with --existing-store=replace"


def images_to_convert(
    target: Target,
    repo: Repo,
    base: Base | None,
    whiteouts: Whiteouts,
    images: Iterable[Image] = (),
) -> tuple[Image, ...]:
    """Return the images of the base's store if it has another form than `whiteouts`, and stays.

    They lose the names that the new `images` have. Raise ImporterError if a layer of theirs is not
    in the repo, or if one is flattened.
    """
    if target.flatten or base is None or target.existing_store is not ExistingStore.MERGE:
        return ()
    present = present_store(repo, base, target.prefix)
    with reading_present():
        if present is None or whiteouts_in(present) in (None, whiteouts):
            return ()
        from importer.store.image import kept_image
        from importer.store.reader import open_store

        store = open_store(repo, base.commit.checksum, target.prefix)
        taken = {name for image in images for name in image.names}
        for view in store.images:
            _check(repo, view)
        return tuple(
            kept_image(store, image, image.record.kept_from, taken) for image in store.images
        )


def _check(repo: Repo, view: ImageView) -> None:
    if view.flattened:
        raise ImporterError(
            f"{view.label} of the base commit's store is flattened, and cannot change its form",
            hint=_HINT,
        )
    for layer_id in layer_ids(view.config.diff_ids):
        if find_layer(repo, layer_id) is None:
            raise ImporterError(
                f"{view.label} of the base commit's store cannot change its form: branch"
                f" {layer_branch(layer_id)} is not in the repo",
                hint=_HINT,
            )


_IDS_CHANGED = (
    "{branch}: the layers of the store have {now} ids now, and had {before} ones. {devices}"
)
_CONTAINERS = (
    "containers that podman 6 or Debian's podman 5.8.6 has made have to be made again; those of"
    " earlier versions still start"
)
_IDS_DEVICES = {
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
    message = _IDS_CHANGED.format(
        branch=branch, now=now.value, before=before.value, devices=_IDS_DEVICES[now]
    )
    return (message,)
