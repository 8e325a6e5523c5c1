"""Make the tree of a commit: its images, with labels or without whiteouts where wanted.

`check_target` looks for faults before the first image is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.layer import LayerCommit, head_layer
from importer.commit.base_tree import BaseCommit, CommitTree, find_base
from importer.commit.selinux import Labels
from importer.commit.store_kind import cuts, images_to_convert, under_an_overlay
from importer.commit.target import EngineOptions, ExistingStore, Form, Target
from importer.errors import ImporterError
from importer.store.artifact_files import ArtifactWriter
from importer.store.layers import LayerNames
from importer.store.writer import StoreTree, check_records, has_records, remove_store
from layers.storage.artifact import ARTIFACTS
from layers.storage.layer_id import StoreForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.commit.base_tree import BaseTree
    from importer.commit.plan import PlannedBranch
    from importer.repo.commit_metadata import Base
    from importer.repo.tree import Tree
    from importer.repo.values import SystemDirectory
    from importer.repo.writer import Repo
    from layers.storage.artifact import ResolvedArtifact
    from layers.storage.image import Image


def kept_store[D: SystemDirectory](
    existing: ExistingStore, present: D | None, name: str, prefix: str
) -> D | None:
    """Return the store that the base of this name has at the prefix, if images are added to it.
    Return None if there is none, or if the images replace it."""
    if present is None or existing is ExistingStore.REPLACE or not has_records(present):
        return None
    if existing is ExistingStore.MERGE:
        return present
    raise ImporterError(
        f"{name} has a store at {prefix} already",
        hint="--existing-store=merge adds to it, --existing-store=replace removes it",
    )


class Contents:
    """The images of a commit's tree and their layers, labelled and without whiteouts where wanted.

    After `tree` was called, `store_ids` has the ids of the layers in the store by their
    standard ids, and `messages` is what to tell the user.
    """

    def __init__(
        self,
        target: Target,
        repo: Repo,
        images: Sequence[Image],
        branch: PlannedBranch,
        layers: Mapping[str, LayerCommit],
    ) -> None:
        """Make the layers with labels or without whiteouts. `images` are the branch's, flattened
        where wanted. `layers` has the commits of layers that are not flattened, and of artifacts'
        blobs."""
        base, kind = branch.base, branch.kind
        self.store_ids: Mapping[str, str] = {}
        self.messages: list[str] = []
        self._kind = kind
        self._target = target
        self._repo = repo
        self._base = base
        converted = images_to_convert(target, repo, base, kind.whiteouts, images)
        self._images = [*images, *converted]
        self._converts = bool(converted)
        self._labels = Labels.wanted(repo, target.labelling, base)
        self._artifacts = branch.artifacts
        self._layers = self._labelled(self._made(layers, self._images))
        self._blobs = self._labelled(self._made(layers, self._artifacts))
        if self._form is StoreForm.NONE:
            self._layers = self._cut()

    @property
    def added_entries(self) -> dict[str, int]:
        """Count the entries that layers hold beside their own, by the layers' standard ids."""
        counts = {i: layer.added_entries for i, layer in self._layers.items()}
        return {i: added for i, added in counts.items() if added is not None}

    @property
    def _form(self) -> StoreForm:
        return StoreForm.FLATTENED if self._target.flatten else self._kind.whiteouts.form

    def _made(
        self, layers: Mapping[str, LayerCommit], images: Iterable[Image | ResolvedArtifact]
    ) -> dict[str, LayerCommit]:
        ids = dict.fromkeys(layer.id for image in images for layer in image.layers)
        return {i: layers.get(i) or head_layer(self._repo, i) for i in ids}

    def _labelled(self, layers: dict[str, LayerCommit]) -> dict[str, LayerCommit]:
        if self._labels.store is None:
            return layers
        from importer.cache.labelled import labelled

        return labelled(self._repo, layers, self._labels.store, self._target.budget.jobs)

    def _cut(self) -> dict[str, LayerCommit]:
        from importer.cache.cut import cut_layers

        parents = {layer.id: layer.parents for image in self._images for layer in image.layers}
        most = self._target.total.entries
        return cut_layers(self._repo, self._layers, parents, self._labels.store, most)

    def tree(self) -> Tree:
        """Return the root directory. Call within a transaction."""
        if self._target.form.is_rootfs:
            from importer.commit.rootfs import rootfs_tree

            return rootfs_tree(
                self._repo, self._only_image(), bundle=self._target.form is Form.BUNDLE
            )
        tree = CommitTree(self._repo, self._base, self._labels)
        prefix = self._target.prefix
        directory = tree.directory(prefix)
        existing = self._target.existing_store
        before = tree.before(prefix)
        present = kept_store(existing, None if self._converts else before, tree.name, prefix)
        if present is None:
            remove_store(directory, but=ARTIFACTS if self._converts else "")
        tree.check_whiteouts(present)
        names = LayerNames.of(self._repo, self._layers, self._kind.ids, self._form, present)
        self.store_ids = names.ids
        store = StoreTree(self._repo, directory, names, self._labels.store, present)
        names_of_images = store.fill(self._images, self._layers)
        if self._artifacts:
            writer = ArtifactWriter(self._repo, directory, self._labels.store)
            writer.add(before if self._converts else present, self._artifacts, self._blobs)
        self.messages = other_stores(tree, prefix)
        if self._form is StoreForm.NONE:
            self.messages += cuts(self._target, tree, self.added_entries)
        if self._form is StoreForm.QUOTED:
            self.messages += under_an_overlay(tree, self._layers.values())
        if self._target.engines != EngineOptions():
            from importer.commit.engine_conf import engine_conf

            has_artifacts = directory.enter(ARTIFACTS) is not None
            files, told = engine_conf(
                self._target.engines, tree, prefix, names_of_images, artifacts=has_artifacts
            )
            for path, content in files.items():
                tree.write(path, content)
            self.messages += told
        return tree.root

    def _only_image(self) -> Image:
        if len(self._images) > 1:
            raise ImporterError(
                f"{len(self._images)} images on one branch cannot be one root file system",
                hint="import them one by one, each to a branch of its own",
            )
        return self._images[0]


# osbuild's edge images have their store there.
_OSBUILD = "/usr/share/containers/storage"


def other_stores(tree: BaseTree, prefix: str) -> list[str]:
    """Return what to tell the user of a second store, and of `dir:` trees below the prefix."""
    messages = []
    other = tree.before(_OSBUILD) if prefix != _OSBUILD else None
    if other is not None and has_records(other):
        messages.append(
            f"{tree.name} has a store at {_OSBUILD} too, which stays as it is: podman and CRI-O"
            f" read it if storage.conf names it; --prefix={_OSBUILD} --existing-store=merge"
            " adds to it instead"
        )
    place = tree.before(prefix)
    below = place.directories.values() if place is not None else ()
    # The marker of skopeo's dir: transport.
    count = sum(b"version" in image.leaves and b"manifest.json" in image.leaves for image in below)
    if count:
        messages.append(
            f"{tree.name} has images of skopeo's dir: transport in {prefix} ({count}), as"
            " MicroShift's image builder puts them there; they stay beside the store, and a boot"
            " that copies them makes second copies in /var"
        )
    return messages


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
    tree = BaseCommit(repo, base)
    tree.check_directory(target.prefix)
    before = tree.before(target.prefix)
    present = kept_store(target.existing_store, before, tree.name, target.prefix)
    if target.flatten:  # else the base's own store is converted; see `importer.commit.store_kind`
        tree.check_whiteouts(present)
    if present is not None:
        check_records(present)
    if target.engines != EngineOptions():
        from importer.commit.engine_conf import engine_conf

        engine_conf(target.engines, tree, target.prefix, (), artifacts=False)
    return base
