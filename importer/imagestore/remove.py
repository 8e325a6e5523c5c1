"""`image-store remove`: commit a branch again without some of its images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.cache.branches import ARTIFACT, IMAGE
from importer.commit.signing import check_keys, sign
from importer.errors import ImporterError
from importer.imagestore.remove_message import StoreChange, removal_message
from importer.render.table import Block, Shown, Text
from importer.repo.commit_keys import is_ours
from importer.repo.commit_metadata import Base
from importer.store.artifact_files import keep_artifacts
from importer.store.find import find_stored, find_stores
from importer.store.image import ImageView
from importer.store.layers import IMAGES, LAYERS, remove_layer
from layers.document import compact_json
from layers.frozen import frozen
from layers.storage.layer_record import with_blob
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.commit.target import GpgKey, KeyFile
    from importer.repo.tree import Tree
    from importer.repo.writer import Repo
    from importer.store.find import Stores
    from importer.store.reader import StoreView
    from layers.document import Document
    from layers.storage.artifact import Artifact

# Branches of a single image or artifact.
_OF_ONE = (f"{IMAGE}/", f"{ARTIFACT}/")


@frozen
class Removal:
    branch: str  # the branch
    commit: str | None  # its new commit; `null` if the branch was deleted
    removed: tuple[ImageView, ...]  # [ImageView]: a list of the images
    removed_artifacts: tuple[Artifact, ...]  # [Artifact]: a list of the artifacts

    def line(self) -> str:
        """Return what changed, for people."""
        if self.commit is None:
            return f"branch {self.branch}: deleted"
        counts = [(len(self.removed), "image"), (len(self.removed_artifacts), "artifact")]
        removed = ", ".join(f"−{several(count, noun)}" for count, noun in counts if count)  # noqa: RUF001 - minus
        return f"branch {self.branch}: {removed}"


@frozen
class Removals(Shown):
    branches: tuple[Removal, ...]

    def blocks(self) -> list[Block]:
        """Return the new commits, as an import prints them."""
        return [Text(change.commit) for change in self.branches if change.commit]

    def document(self) -> dict[str, object]:
        return {"branches": self.branches}  # [Removal]: a list of the branches that changed


def remove_images(
    repo: Repo,
    stores: Stores,
    names: Sequence[str],
    keys: Iterable[GpgKey | KeyFile],
    *,
    everywhere: bool,
) -> Removals:
    """Remove each image or artifact that a name means from each of these stores that has it.

    Nothing is done unless all names mean one. Several stores are only changed if the
    user has named them, or said `everywhere`. The layers' branches stay: see `prune`.
    """
    repo.check_writable()
    keys = list(keys)
    check_keys(repo, keys)
    with repo.locked():
        changes = _changes(stores, names)
        concerned = [store for store, _ in changes]
        if len(concerned) > 1 and not everywhere:
            branches = ", ".join(store.branch for store in concerned)
            raise ImporterError(
                f"{len(concerned)} branches have it: {branches}",
                hint="name with --branch each branch to remove it from",
            )
        return Removals(tuple(_remove(repo, *change, keys) for change in changes))


def _changes(stores: Stores, names: Sequence[str]) -> list[tuple[StoreView, StoreChange]]:
    """Return what goes from each store that has anything that a name means."""
    keys = {_key(each) for name in names for _, each in find_stored(stores, name)}
    changes: list[tuple[StoreView, StoreChange]] = []
    for store in stores.found:
        change = StoreChange(
            tuple(image for image in store.images if _key(image) in keys),
            [image for image in store.images if _key(image) not in keys],
            tuple(artifact for artifact in store.artifacts if _key(artifact) in keys),
            tuple(artifact for artifact in store.artifacts if _key(artifact) not in keys),
        )
        if change.gone or change.artifacts_gone:
            changes.append((store, change))
    return changes


def _key(stored: ImageView | Artifact) -> tuple[str, str]:
    """Return what names an image, with all its names, or one name of an artifact."""
    return stored.id, "" if isinstance(stored, ImageView) else stored.label


def _remove(
    repo: Repo, store: StoreView, change: StoreChange, keys: list[GpgKey | KeyFile]
) -> Removal:
    head, gone = store.commit.checksum, (change.gone, change.artifacts_gone)
    is_empty = not change.kept and not change.artifacts_kept
    if is_empty and store.branch.startswith(_OF_ONE) and is_ours(store.commit):
        with repo.refs_locked():
            repo.check_head(store.branch, head)
            repo.delete_refs([store.branch])  # the branch of an image that it no longer has
        return Removal(store.branch, None, *gone)
    with repo.transaction():
        tree = repo.tree_of(store.commit)
        inside = tree.below(store.prefix)
        _remove_images(repo, store, inside, change.kept)
        if change.artifacts_gone:
            keep_artifacts(repo, store.root, inside, change.artifacts_kept)
        tree.write()
    with repo.transaction():
        base, parent = Base(store.commit, store.branch), _parent(repo, store)
        checksum = repo.write_commit(tree, removal_message(store, change, parent), base, parent)
        sign(repo, checksum, keys)
        repo.move_branch(store.branch, head, checksum)
    return Removal(store.branch, checksum, *gone)


def _remove_images(repo: Repo, store: StoreView, tree: Tree, kept: list[ImageView]) -> None:
    """Remove what only other images than `kept` have: layers, then images.

    Everything else stays as it is, with its labels, and so do the records of other tools' images.
    """
    needed = {layer.id for image in kept for layer in image.layers}
    unflattened = [image for image in kept if not image.flattened]
    layers: list[Document] = []
    for layer in store.layers.values():
        if layer.id in needed:
            standard_id = store.standard_ids[layer.id]
            blobs = [blob for image in unflattened for blob in image.blobs(standard_id)]
            layers.append(with_blob(layer, blobs))
        else:
            remove_layer(repo, tree, store.root, layer.id)
    _rewrite(repo, store, tree, LAYERS, layers)
    for image_id in {image.id for image in store.images} - {image.id for image in kept}:
        tree.below("overlay-images").remove(image_id)
    records = (*(image.record for image in kept), *store.lists)
    _rewrite(repo, store, tree, IMAGES, [record.document for record in records])


def _rewrite(repo: Repo, store: StoreView, tree: Tree, path: str, records: list[Document]) -> None:
    """Write a file of records anew; it keeps its owner and label."""
    directory, _, name = path.partition("/")
    before = store.root.leaf(path)
    assert before is not None  # noqa: S101 - its records have been read
    checksum = repo.write_file(repo.file(before).owner, compact_json(records))
    tree.below(directory).file(name, checksum)


def _parent(repo: Repo, store: StoreView) -> str | None:
    """Return the parent of the new commit: the head if the branch has a history, or if another
    program made the head, so that it is not lost; else None, as commits of import-image have no
    parent."""
    head = store.commit
    goes_on = repo.parent(head.checksum) is not None or store.release is not None
    return head.checksum if goes_on or not is_ours(head) else None


def own_stores(repo: Repo, branches: tuple[str, ...], prefix: str | None) -> Stores:
    """Find the stores of these branches, or of all branches but remotes', which are not ours to
    change. Raise ImporterError if a branch is missing."""
    for branch in branches:
        if repo.resolve(branch) is None:
            raise ImporterError(
                f"this repo has no branch {branch} of its own",
                hint="commits and remotes' branches are not changed; `ostree refs` lists branches",
            )
    stores = find_stores(repo, branches, prefix)
    own = tuple(store for store in stores.found if repo.resolve(store.branch) is not None)
    return replace(stores, found=own)
