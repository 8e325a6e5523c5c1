"""Commit images, whose layers are in the repo, to a branch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from importer.cache.flattened import NO_EXPORT
from importer.cache.labelled import labelled
from importer.cache.layer import LayerCommit, head_layer
from importer.commit.base_tree import BaseTree, CommitTree, find_base
from importer.commit.crio_conf import add_crio_conf, made_crio_conf
from importer.commit.flatten_images import flattened_images
from importer.commit.layer_ids import change_of_ids
from importer.commit.other_stores import other_stores
from importer.commit.result import StoreCommit
from importer.commit.rootfs import rootfs_tree
from importer.commit.selinux import Labels
from importer.commit.signing import sign
from importer.commit.storage_conf import add_storage_conf, storage_conf
from importer.commit.target import ExistingStore, Form, Target
from importer.commit.time import newest, tell_future
from importer.errors import ImporterError
from importer.repo import commit_keys as key
from importer.repo.values import Message
from importer.repo.writer import Repo
from importer.store.layer_names import LayerNames
from importer.store.writer import StoreTree, check_records, has_records, remove_store
from layers.storage.store_id import LayerIds, StoreForm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.commit.plan import PlannedBranch
    from importer.progress import Progress
    from importer.repo.commit_metadata import Base
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory
    from layers.storage.image import Image


_log = logging.getLogger(__name__)


def commit_images(
    target: Target,
    repo: Repo,
    branches: Sequence[PlannedBranch],
    layers: Mapping[str, LayerCommit],
    progress: Progress,
) -> tuple[StoreCommit, ...]:
    """Commit each branch's images; `layers` has the commit of every layer id.

    Return no commit where only the layers are wanted.
    """
    if target.form is Form.LAYERS:
        return ()
    if target.flatten:
        progress.message(NO_EXPORT)
    for branch in branches if target.timestamp is None else ():
        time = newest(branch.images, branch.base, branch.head)
        tell_future(branch.images, time, progress)
    images = flattened_images(target, repo, {branch.name: branch.images for branch in branches})
    stores = tuple(
        _commit(target, repo, branch, images[branch.name], layers) for branch in branches
    )
    for message in dict.fromkeys(one for store in stores for one in store.messages):
        progress.message(message)
    return stores


def check_target(target: Target, repo: Repo, onto: str | None, branch: str) -> Base | None:
    """Return the commit of the operating system that the store goes into, None without `onto`.

    Raise ImporterError for faults that do not depend on the images: a base, a policy or a
    configuration that cannot be read, a base with a store or a file in the way. The repo is only
    read.
    """
    base = find_base(repo, onto, branch)
    if base is None and target.labelling.policy is None:
        return None
    Labels.wanted(repo, target.labelling, base)
    tree = BaseTree(repo, base)
    tree.check_directory(target.prefix)
    present = _kept(target, tree.before(target.prefix))
    tree.check_whiteouts(0, present)
    if present is not None:
        check_records(present)
    if target.storage_conf:
        storage_conf(tree, target.prefix)
    if target.crio_conf:
        repair = target.crio_internal_repair
        made_crio_conf(tree, target.prefix, (), internal_repair=repair)
    return base


def _kept(target: Target, present: RepoDirectory | None) -> RepoDirectory | None:
    """Return the base's store if the import adds to it, None if the import replaces it."""
    existing = target.existing_store
    if present is None or existing is ExistingStore.REPLACE or not has_records(present):
        return None
    if existing is ExistingStore.MERGE:
        return present
    raise ImporterError(
        f"the base commit has a store at {target.prefix} already",
        hint="--existing-store=merge adds to it, --existing-store=replace removes it",
    )


def _commit(
    target: Target,
    repo: Repo,
    branch: PlannedBranch,
    stored: Sequence[Image],
    layers: Mapping[str, LayerCommit],
) -> StoreCommit:
    """Commit the branch's images, unless the branch has just that already. `stored` are the
    images with the layers that the store has.

    The commit has no parent: it is a function of the images and of the base, not of what was
    imported before.
    """
    name, images, base = branch.name, branch.images, branch.base
    ids = branch.layer_ids
    message = image_message(target, branch)
    with repo.locked():
        contents = Contents(target, repo, stored, base, layers, ids)
        with repo.transaction() as transaction:
            tree = contents.tree()
            tree.write()
            head = repo.resolve(name)
            if head is not None and repo.is_commit(repo.commit(head), tree, message, base):
                transaction.abandon()
        if head is not None and transaction.abandoned:
            sign(repo, head, target.signing)
            _log.debug("branch %s has commit %s already", name, head)
            return StoreCommit(name, head, True, images, contents.store_ids)
        with repo.transaction():
            checksum = repo.write_commit(tree, message, base)
            sign(repo, checksum, target.signing)
            repo.set_ref(name, checksum)
    _log.debug("branch %s: commit %s", name, checksum)
    change = change_of_ids(name, repo.commit(head) if head else None, ids)
    messages = (*change, *contents.messages)
    return StoreCommit(name, checksum, False, images, contents.store_ids, messages)


class Contents:
    """The images of a commit's tree and their layers, labelled where wanted.

    After `tree` was called, `store_ids` has the ids of the layers in the store by their
    standard ids, and `messages` is what to tell the user.
    """

    def __init__(
        self,
        target: Target,
        repo: Repo,
        images: Sequence[Image],
        base: Base | None,
        layers: Mapping[str, LayerCommit],
        ids: LayerIds,
    ) -> None:
        """Make the labelled layers; `layers` has the commits of layers that are not flattened."""
        self.store_ids: Mapping[str, str] = {}
        self.messages: list[str] = []
        self._ids = ids
        self._target = target
        self._repo = repo
        self._base = base
        self._images = images
        self._labels = Labels.wanted(repo, target.labelling, base)
        self._layers = self._made(layers)
        if self._labels.store is not None:
            jobs = target.budget.jobs
            self._layers = labelled(repo, self._layers, self._labels.store, jobs)

    def _made(self, layers: Mapping[str, LayerCommit]) -> dict[str, LayerCommit]:
        ids = dict.fromkeys(layer.id for image in self._images for layer in image.layers)
        return {one: layers.get(one) or head_layer(self._repo, one) for one in ids}

    def tree(self) -> Tree:
        """Return the root directory. Call within a transaction."""
        if self._target.form is Form.ROOTFS:
            return rootfs_tree(self._repo, self._only_image(), bundle=self._target.bundle)
        tree = CommitTree(self._repo, self._base, self._labels)
        prefix = self._target.prefix
        directory = tree.directory(prefix)
        present = _kept(self._target, tree.before(prefix))
        if present is None:
            remove_store(directory)
        tree.check_whiteouts(sum(layer.whiteouts for layer in self._layers.values()), present)
        form = StoreForm.FLATTENED if self._target.flatten else StoreForm.QUOTED
        names = LayerNames.of(self._repo, self._layers, self._ids, form, present)
        self.store_ids = names.ids
        store = StoreTree(self._repo, directory, names, self._labels.store, present)
        names_of_images = store.fill(self._images, self._layers)
        self.messages = other_stores(tree, prefix)
        if self._target.storage_conf:
            add_storage_conf(tree, prefix)
        if self._target.crio_conf:
            repair = self._target.crio_internal_repair
            self.messages += add_crio_conf(tree, prefix, names_of_images, internal_repair=repair)
        return tree.root

    def _only_image(self) -> Image:
        if len(self._images) > 1:
            raise ImporterError(
                f"{len(self._images)} images on one branch cannot be one root file system",
                hint="import them one by one, each to a branch of its own",
            )
        return self._images[0]


def image_message(target: Target, branch: PlannedBranch) -> Message:
    """Return what a commit of the branch's images says."""
    images, base = branch.images, branch.base
    time = target.timestamp
    # `layers.storage.stated_image` reads them.
    lines = sorted({f"{image.reference} {image.digest}" for image in images})
    names = sorted({str(image.reference) for image in images})
    return Message(
        target.subject if target.subject is not None else default_subject(names),
        newest(images, base, branch.head) if time is None else time,
        "\n".join(lines),
        tuple(sorted((facts(target, base, branch.layer_ids) | _given_name(images)).items())),
    )


def _given_name(images: Sequence[Image]) -> dict[str, str]:
    """Return the metadata with the name that the user gave the one image."""
    names = [str(image.name) for image in images if image.name is not None]
    return {key.NAME: names[0]} if names else {}


def default_subject(references: Sequence[str]) -> str:
    """Return the subject of a commit of these images."""
    if not references:
        return "no images"
    more = f" and {len(references) - 1} more" if len(references) > 1 else ""
    return references[0] + more


def facts(target: Target, base: Base | None, ids: LayerIds) -> dict[str, str]:
    """Return the metadata that says how the commit was made."""
    found = {key.FORM: target.form.value}
    if target.form is Form.STORE:
        found[key.PREFIX] = target.prefix
        if ids is LayerIds.PRIVATE:
            found[key.LAYER_IDS] = ids.value
    if base is not None:
        found[key.BASE] = base.commit.checksum
    if target.flatten:
        found[key.FLATTEN] = "true"
    return found
