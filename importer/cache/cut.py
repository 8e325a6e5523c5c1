"""Cut the layers of a store without whiteouts: a layer that deletes files holds those below, too.

A cut layer has all files that it and the layers below show together, so overlayfs mounts nothing
below it. The tree is made of the objects of these layers, and costs the repo directories alone. It
depends on the layer's own chain, and is kept on a branch of its own, `oci/cut/<private id>`, or
with SELinux labels `oci/cut/<hash of the label>/<private id>`.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from importer.cache.branches import cut_branch
from importer.cache.labelled import label_hash
from importer.cache.stack import fill
from importer.errors import ImporterError
from importer.repo.commit_keys import ADDED_ENTRIES, DIFF_ID, STACK
from importer.repo.values import Message
from layers.errors import LayerError
from layers.storage.store_id import StoreForm, private_id
from layers.tree.entries import EntryCount
from layers.tree.lower import Lower

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from importer.cache.layer import LayerCommit
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo

    # The standard ids of the layers below a layer, nearest first, by its own standard id.
    type Parents = Mapping[str, tuple[str, ...]]


def cut_layers(
    repo: Repo,
    layers: Mapping[str, LayerCommit],
    parents: Parents,
    label: str | None,
    most_entries: int,
) -> dict[str, LayerCommit]:
    """Return the layers, those that delete files with a cut tree.

    `layers` are by their standard ids, labelled already where there is a `label`, and have all
    `parents`. Raise ImporterError if a cut layer's chain is not verified: other machines would have
    other files under the same id. Raise LayerError if the cut layers hold more than `most_entries`
    entries of the layers below.
    """
    deleting = [one for one, layer in layers.items() if layer.whiteouts]
    _check_verified(layers, parents, frozenset(deleting))
    with repo.locked():
        cutter = _Cutter(repo, layers, parents, label)
        found = cutter.cut(sorted(deleting, key=lambda one: (len(parents[one]), one)))
    added = sum(layer.added_entries or 0 for layer in found.values())
    if added > most_entries:
        raise LayerError(
            f"{len(found)} layers delete files, and would hold {added:,} entries of the layers"
            f" below them; the limit is {most_entries:,}",
            hint="--flatten makes smaller stores of such images; --max-entries raises the limit",
        )
    return {**layers, **found}


def _check_verified(
    layers: Mapping[str, LayerCommit], parents: Parents, deleting: frozenset[str]
) -> None:
    for one, below in parents.items():
        chain = [one, *below]
        unverified = next((layer for layer in chain if not layers[layer].verified), None)
        if unverified is not None and not deleting.isdisjoint(chain):
            raise ImporterError(
                f"layer {layers[unverified].commit.metadata.get(DIFF_ID)} has no tar-split record"
                " to verify it by, and a store without whiteouts would hold it under private ids",
                hint="import the image from its registry, or with --flatten",
            )


class _Cutter:
    """Finds the cut trees that earlier runs have made, and makes the others."""

    def __init__(
        self,
        repo: Repo,
        layers: Mapping[str, LayerCommit],
        parents: Parents,
        label: str | None,
    ) -> None:
        self._repo = repo
        self._layers = layers
        self._parents = parents
        self._label = label_hash(label) if label is not None else ""
        self._counts = EntryCount()
        self._cut: dict[str, RepoDirectory] = {}

    def cut(self, ids: Iterable[str]) -> dict[str, LayerCommit]:
        """Return these layers cut; `ids` are standard ids, parents before children."""
        found, missing = {}, []
        for one in ids:
            known = self._known(one)
            if known is None:
                missing.append(one)
            else:
                found[one] = known
                assert known.shown is not None  # noqa: S101 - a cut layer's
                self._cut[one] = known.shown
        return found | (self._made(missing) if missing else {})

    def _known(self, one: str) -> LayerCommit | None:
        """Return what an earlier run has made of the same trees."""
        head = self._repo.resolve(self._branch(one))
        if head is None:
            return None
        commit = self._repo.commit(head)
        if commit.metadata.get(STACK) != self._stack(one):
            return None
        added = int(str(commit.metadata.get(ADDED_ENTRIES)))
        return replace(self._layers[one], shown=self._repo.root(commit), added_entries=added)

    def _branch(self, one: str) -> str:
        return cut_branch(private_id(one, StoreForm.NONE), self._label)

    def _stack(self, one: str) -> str:
        """Return a digest of all trees that the cut one is made of."""
        trees = [self._layers[layer].tree for layer in (one, *self._parents[one])]
        return sha256("".join(f"{t.contents} {t.meta}\n" for t in trees).encode()).hexdigest()

    def _made(self, ids: list[str]) -> dict[str, LayerCommit]:
        """Make cut trees. They are durable before a commit names them; see `cache.batch`."""
        trees: dict[str, Tree] = {}
        made: dict[str, LayerCommit] = {}
        with self._repo.transaction():
            for one in ids:
                trees[one], made[one] = self._written(one)
        with self._repo.transaction():
            for one, layer in made.items():
                facts = ((ADDED_ENTRIES, str(layer.added_entries)), (STACK, self._stack(one)))
                message = Message(f"Layer {one} with the layers below", 0, metadata=facts)
                commit = self._repo.write_commit(trees[one], message)
                self._repo.set_ref(self._branch(one), commit)
        return made

    def _written(self, one: str) -> tuple[Tree, LayerCommit]:
        lower = Lower(self._trees(one))
        tree = self._repo.tree(lower.meta)
        fill(tree, lower)
        root = self._cut[one] = self._repo.directory(*tree.write())
        own = self._counts.of(self._tree(one))
        added = self._counts.of(root) - own
        return tree, replace(self._layers[one], shown=root, added_entries=added)

    def _trees(self, one: str) -> list[RepoDirectory]:
        """Return the trees that are merged, nearest first, down to the next cut one."""
        found = [self._tree(one)]
        for parent in self._parents[one]:
            if parent in self._cut:
                return [*found, self._cut[parent]]
            found.append(self._tree(parent))
        return found

    def _tree(self, one: str) -> RepoDirectory:
        """Return a layer's own tree, as it is without the cut."""
        layer = self._layers[one]
        return layer.shown or self._repo.root(layer.commit)
