"""Read a store in a commit: its records, and its layers' trees."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from importer.cache.layer import record_name
from importer.errors import ImporterError
from importer.repo.commit_keys import FORM, names_of, store_prefix
from importer.repo.reachable import check_breadth
from importer.store.artifact_files import artifact_entries, stored_artifact
from importer.store.image import ImageView, read_image
from importer.store.layers import (
    IMAGES,
    LAYERS,
    blocker_in,
    is_cut,
    recorded_whiteouts,
    whiteouts_in,
)
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE, MAX_RECORDS_SIZE
from layers.errors import LayerError, within
from layers.release.commit_metadata import stored_release
from layers.storage.image_record import SIGNATURE, big_data_file, own_images
from layers.storage.layer_record import chain, own_layers, standard_ids
from layers.storage.mounted import blocker_of, mounted
from layers.storage.stated_image import StatedImage, stated_images, stated_reference
from layers.tree.blocked import own_part
from layers.tree.lower import Lower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.repo.values import Commit, RepoDirectory
    from importer.repo.writer import Repo
    from layers.release.release import Release
    from layers.storage.artifact import Artifact
    from layers.storage.image_record import ImageRecord
    from layers.storage.layer_id import Whiteouts
    from layers.storage.layer_record import LayerRecord
    from layers.tree.lower import TreeDirectory


_UNREADABLE = "the store is damaged, or of another tool; `image-store verify` tells what is wrong"


class NoStoreError(ImporterError):
    """The commit exists, but has no store."""


class StoreView:
    """The store at `prefix` in a commit. `branch` is the user's name of the commit."""

    def __init__(
        self, branch: str, commit: Commit, prefix: str, top: RepoDirectory, root: RepoDirectory
    ) -> None:
        self.branch = branch
        self.commit = commit
        self.prefix = prefix
        self.top = top
        self.root = root
        self._checked: set[str] = set()

    @cached_property
    def layers(self) -> dict[str, LayerRecord]:
        """The layers' records by the ids that they have in the store."""
        records = own_layers(self.records(LAYERS))
        return {record.id: record for record in records}

    @cached_property
    def standard_ids(self) -> dict[str, str]:
        """The layers' standard ids by the ids that they have in the store."""
        return standard_ids(self.layers)

    @cached_property
    def release(self) -> Release | None:
        """The release that import-release wrote into the commit. Raise LayerError if it is
        malformed.
        """
        return stored_release(self.commit.metadata, self.branch)

    @cached_property
    def stated(self) -> tuple[StatedImage, ...]:
        """The images that the commit's message or metadata names. Raise LayerError as `release`
        does.
        """
        if self.release is not None:
            components = self.release.components.values()
            stated = (StatedImage.of(each.pullspec, each.digest) for each in components)
            return tuple(image for image in stated if image is not None)
        return tuple(stated_images(self._lines, self.given_names))

    @cached_property
    def given_names(self) -> dict[str, tuple[str, ...]]:
        """The names that the user gave the images, by the references in the commit's body. Raise
        LayerError if their record is malformed."""
        references = [stated_reference(line) for line in self._lines]
        return names_of(self.commit.metadata, references)

    @property
    def _lines(self) -> list[str]:
        ours = self.commit.metadata.get(FORM) == "store"
        return self.commit.message.body.splitlines() if ours else []

    @cached_property
    def images(self) -> tuple[ImageView, ...]:
        """All images. Raise LayerError, with the image's id, if one's records are malformed."""
        with within(hint=_UNREADABLE):
            records = own_images(self.records(IMAGES))
            return tuple(read_image(self, record) for record in records if not record.is_list)

    @property
    def lists(self) -> list[ImageRecord]:
        """The manifest lists that podman has made beside the images. Raise LayerError as `images`
        does."""
        return [record for record in own_images(self.records(IMAGES)) if record.is_list]

    @cached_property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All artifacts. Raise LayerError, with the artifact's name, if one's manifest is
        malformed."""
        return tuple(stored_artifact(self.root, entry) for entry in artifact_entries(self.root))

    @property
    def size(self) -> int:
        """Return the bytes of the layers' tars and of the artifacts' blobs."""
        layers = sum(layer.diff_size for layer in self.layers.values())
        return layers + sum(artifact.size for artifact in self.artifacts)

    def big_data(self, record: ImageRecord, key: str) -> bytes:
        """Return one of the image's documents. Raise LayerError if it is missing or too large."""
        limit = MAX_RECORDS_SIZE if key.startswith(SIGNATURE) else MAX_DOCUMENT_SIZE
        return self._file(f"overlay-images/{record.id}/{big_data_file(key)}", key, limit)

    def signatures(self, record: ImageRecord) -> dict[Digest, tuple[bytes, ...]]:
        """Return the signatures of an image's manifests, by the manifests' digests.

        Raise LayerError if signatures are missing, or have other sizes than the record says.
        """
        signatures: dict[Digest, tuple[bytes, ...]] = {}
        for digest, sizes in record.signature_sizes.items():
            data = self.big_data(record, f"{SIGNATURE}-{digest.hex}")
            if sum(sizes) != len(data):
                raise LayerError(
                    f"the signatures of {digest} have other sizes than the record says"
                )
            ends = [*accumulate(sizes)]
            signatures[digest] = tuple(
                data[end - size : end] for size, end in zip(sizes, ends, strict=True)
            )
        return signatures

    def records(self, path: str) -> bytes:
        """Return a list of the store: LAYERS or IMAGES. Raise LayerError if it is missing, or has
        more than MAX_RECORDS_SIZE bytes."""
        return self._file(path, path, MAX_RECORDS_SIZE)

    def _file(self, path: str, shown: str, limit: int) -> bytes:
        content = self.root.read(path, limit)
        if content is None:
            raise LayerError(f"{shown} is missing in the store")
        return content

    def diff(self, layer_id: str) -> RepoDirectory:
        """Return a layer's own tree. Raise LayerError if it is missing."""
        path = f"overlay/{layer_id}/diff"
        tree = self.root.find(path)
        if tree is None:
            raise LayerError(f"{path} is missing in the store")
        self._check_breadth(tree, path)
        return tree

    def _check_breadth(self, tree: RepoDirectory, path: str) -> None:
        if path not in self._checked:
            check_breadth(tree, path)
            self._checked.add(path)

    @cached_property
    def whiteouts(self) -> Whiteouts | None:
        """How the layers delete files, by the commit's metadata, else by the store itself; None
        for a store that fits both forms."""
        return recorded_whiteouts(self.commit) or whiteouts_in(self.root)

    def is_cut(self, record: LayerRecord) -> bool:
        """Return whether a layer has its parents' files, and is mounted without them."""
        standard_id = self.standard_ids.get(record.id, "")
        return bool(record.parent) and is_cut(self.root, record.id, standard_id)

    def blocker(self, record: LayerRecord) -> RepoDirectory | None:
        """Return the tree that hides the directories which the layer holds whole, or None."""
        blocker = blocker_in(self.root, record.id) if record.parent else None
        if blocker is not None:
            self._check_breadth(blocker, f"overlay/{blocker_of(record.id).id}/diff")
        return blocker

    def trees(self, layers: Sequence[LayerRecord]) -> list[RepoDirectory]:
        """Return the trees that overlayfs stacks for a chain of layers, which is base first.

        The nearest comes first, a blocker behind its layer. A cut layer is the last.
        """
        return mounted(
            reversed(layers), lambda layer: self.diff(layer.id), self.blocker, self.is_cut
        )

    def own(self, record: LayerRecord) -> TreeDirectory:
        """Return a layer's own part of its tree, without held files of the layers below. Whiteouts
        are quoted."""
        blocker = self.blocker(record)
        if blocker is None and not self.is_cut(record):
            return self.diff(record.id)
        below = Lower.of(self.trees(chain(self.layers, record.parent)))
        return own_part(self.diff(record.id), below, blocker)

    def tar_split(self, layer_id: str) -> str:
        """Return the checksum of a layer's tar-split file. Raise LayerError if it is missing."""
        path = f"overlay-layers/{record_name(layer_id)}"
        checksum = self.root.leaf(path)
        if checksum is None:
            raise LayerError(f"{path} is missing in the store")
        return checksum

    def users(self, standard_id: str) -> list[ImageView]:
        """Return the images that have a layer, given by its standard id."""
        ids = self.standard_ids
        return [
            image
            for image in self.images
            if any(ids[layer.id] == standard_id for layer in image.layers)
        ]


def revision(repo: Repo, branch: str) -> str:
    """Return the checksum of a branch or commit. Raise ImporterError if there is none."""
    head = repo.revision(branch)
    if head is None:
        raise ImporterError(f"no branch {branch}", hint="`ostree refs` lists the branches")
    return head


def store_in(repo: Repo, commit: Commit, prefix: str | None) -> StoreView | None:
    """Return a commit's store, or None if it has none, such as commits below the first --onto."""
    try:
        return open_store(repo, commit.checksum, prefix)
    except NoStoreError:
        return None


def open_store(repo: Repo, branch: str, prefix: str | None) -> StoreView:
    """Open the store of a branch or commit, at `prefix` or where the metadata says.

    Raise ImporterError if there is no such commit, NoStoreError if it has no store.
    """
    commit = repo.commit(revision(repo, branch))
    where = store_prefix(commit, prefix)
    top = repo.root(commit)
    root = top.find(where.strip("/"))
    if root is None or root.find("overlay-images") is None:
        raise NoStoreError(
            f"branch {branch} has no store at {where}", hint="--prefix says where the store is"
        )
    return StoreView(branch, commit, where, top, root)
