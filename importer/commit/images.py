"""From images, whose layers are here, to a commit and its branch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from importer.cache.branches import layer_branch
from importer.cache.flattened import NO_EXPORT, flattened
from importer.cache.labelled import labelled
from importer.cache.layer import LayerCommit, find_layer
from importer.commit.base_tree import CommitTree, find_base
from importer.commit.result import StoreCommit
from importer.commit.rootfs import rootfs_tree
from importer.commit.selinux import Labels
from importer.commit.signing import sign
from importer.commit.storage_conf import add_storage_conf
from importer.commit.target import ExistingStore, Form, Target
from importer.errors import ImporterError
from importer.repo import commit_keys as key
from importer.repo.values import Message
from importer.repo.writer import Repo
from importer.store.writer import StoreTree, has_records, remove_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.progress import Progress
    from importer.repo.commit_metadata import Base
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory
    from layers.storage.image import Image


_log = logging.getLogger(__name__)


def commit_images(
    target: Target, repo: Repo, branches: Mapping[str, Sequence[Image]], progress: Progress
) -> tuple[StoreCommit, ...]:
    """A commit of these images for each branch; none where only the layers are wanted."""
    if target.form is Form.LAYERS:
        return ()
    if target.flatten:
        progress.message(NO_EXPORT)
    return tuple(_commit(target, repo, branch, images) for branch, images in branches.items())


def check_target(target: Target, repo: Repo, onto: str | None, branch: str) -> None:
    """ImporterError for what would fail whatever the images are, before they are fetched.

    A store without images is put onto the base, and nothing is kept of it: so it is known
    whether there is a base, and a policy, and whether its own store and its files allow it.
    """
    if onto is None and target.labelling.policy is None:
        return
    base = find_base(repo, onto, branch)
    with repo.transaction() as transaction:
        transaction.abandon()
        Contents(target, repo, [], base).tree()


def found_layers(repo: Repo, images: Iterable[Image]) -> dict[str, LayerCommit]:
    """The commits of all the images' layers, by layer id."""
    layers: dict[str, LayerCommit] = {}
    for layer in (layer for image in images for layer in image.layers):
        if layer.id not in layers:
            found = find_layer(repo, layer.id)
            if found is None:
                raise ImporterError(f"branch {layer_branch(layer.id)} went away during the import")
            layers[layer.id] = found
    return layers


def _commit(target: Target, repo: Repo, branch: str, images: Sequence[Image]) -> StoreCommit:
    """Commit the images, unless the branch has just that already.

    The commit has no parent: it is to be a function of the images and of the base, not of
    what was imported before.
    """
    base = find_base(repo, target.onto, branch)
    message = _message(target, images, base)
    with repo.locked():
        contents = Contents(target, repo, images, base)
        with repo.transaction() as transaction:
            tree = contents.tree()
            tree.write()
            head = repo.resolve(branch)
            if head is not None and repo.is_commit(repo.commit(head), tree, message, base):
                transaction.abandon()
        if head is not None and transaction.abandoned:
            sign(repo, head, target.signing)
            _log.debug("branch %s has commit %s already", branch, head)
            return StoreCommit(branch, head, True, tuple(images))
        with repo.transaction():
            checksum = repo.write_commit(tree, message, base)
            sign(repo, checksum, target.signing)
            repo.set_ref(branch, checksum)
    _log.debug("branch %s: commit %s", branch, checksum)
    return StoreCommit(branch, checksum, False, tuple(images))


class Contents:
    """What the commit's tree is to have; flattened and labelled layers are made at once."""

    def __init__(
        self, target: Target, repo: Repo, images: Sequence[Image], base: Base | None
    ) -> None:
        self._target = target
        self._repo = repo
        self._base = base
        self._images = [flattened(repo, one) for one in images] if target.flatten else images
        self._labels = Labels.wanted(repo, target.labelling, base)
        self._layers = found_layers(repo, self._images)
        if self._labels.store is not None:
            self._layers = {
                layer_id: labelled(repo, layer_id, layer, self._labels.store)
                for layer_id, layer in self._layers.items()
            }

    def tree(self) -> Tree:
        """The root; to be called within a transaction."""
        if self._target.form is Form.ROOTFS:
            return rootfs_tree(self._repo, self._only_image(), bundle=self._target.bundle)
        tree = CommitTree(self._repo, self._base, self._labels)
        prefix = self._target.prefix
        directory = tree.directory(prefix)
        present = self._kept(tree.before(prefix), directory)
        tree.check_whiteouts(sum(layer.whiteouts for layer in self._layers.values()), present)
        store = StoreTree(self._repo, directory, self._labels.store, present)
        store.fill(self._images, self._layers)
        if self._target.storage_conf:
            add_storage_conf(tree, prefix)
        return tree.root

    def _only_image(self) -> Image:
        if len(self._images) > 1:
            raise ImporterError(
                f"{len(self._images)} images on one branch cannot be one root file system",
                hint="import them one by one, each to a branch of its own",
            )
        return self._images[0]

    def _kept(self, present: RepoDirectory | None, directory: Tree) -> RepoDirectory | None:
        """The store that ours is to be added to, if there is one."""
        existing = self._target.existing_store
        if present is None:
            return None
        if existing is not ExistingStore.REPLACE and has_records(present):
            if existing is ExistingStore.MERGE:
                return present
            raise ImporterError(
                f"the base commit has a store at {self._target.prefix} already",
                hint="--existing-store=merge adds to it, --existing-store=replace removes it",
            )
        remove_store(directory)
        return None


def _message(target: Target, images: Sequence[Image], base: Base | None) -> Message:
    # `layers.storage.stated_image` reads them.
    lines = sorted({f"{image.reference} {image.digest}" for image in images})
    names = sorted({str(image.reference) for image in images})
    return Message(
        target.subject if target.subject is not None else default_subject(names),
        newest(images, base) if target.timestamp is None else target.timestamp,
        "\n".join(lines),
        tuple(sorted((facts(target, base) | _given_name(images)).items())),
    )


def _given_name(images: Sequence[Image]) -> dict[str, str]:
    """The name that the user gave the one image, instead of the reference's."""
    names = [str(image.name) for image in images if image.name is not None]
    return {key.NAME: names[0]} if names else {}


def default_subject(references: Sequence[str]) -> str:
    """Of a commit of these images, in order."""
    if not references:
        return "no images"
    more = f" and {len(references) - 1} more" if len(references) > 1 else ""
    return references[0] + more


def newest(images: Sequence[Image], base: Base | None) -> int:
    """A device takes no commit that is older than the one it has (`timestamp-check` of
    ostree pull), so the time is to grow with the OS's as with the images'."""
    times = [image.config.created_seconds for image in images]
    return max([*times, base.commit.message.timestamp if base else 0], default=0)


def facts(target: Target, base: Base | None) -> dict[str, str]:
    """What a commit's metadata says of how it was made."""
    found = {key.FORM: target.form.value}
    if target.form is Form.STORE:
        found[key.PREFIX] = target.prefix
    if base is not None:
        found[key.BASE] = base.commit.checksum
    if target.flatten:
        found[key.FLATTEN] = "true"
    return found
