"""Write the layers of a store without whiteouts: those that delete files hold some of those below.

Such a layer holds each directory in which it deletes files with all that it and the layers below
show there, and has a blocker that hides theirs (`layers.tree.blocked`). A layer that deletes files
in its root directory is *cut*: it holds all files that it and the layers below show together, and
overlayfs mounts nothing below it. The trees are made of the objects of these layers, and cost the
repo directories alone. They depend on the layer's own chain, and are kept on a branch for each
layer, `oci/cut/<private id>`, or with SELinux labels `oci/cut/<hash of the label>/<private id>`:
the tree as `diff`, and the blocker beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from importer.cache.branches import cut_branch
from importer.cache.labelled import label_hash
from importer.cache.stack import copy, fill
from importer.errors import ImporterError
from importer.repo.commit_keys import ADDED_ENTRIES, DIFF_ID, STACK
from importer.repo.values import Message
from layers.entry import Owner, labelled_owner
from layers.errors import LayerError
from layers.path import joined
from layers.storage.layer_id import StoreForm, private_id
from layers.storage.mounted import TARGET
from layers.tree.blocked import blocker_tree, has_whiteout, topmost
from layers.tree.lower import EntryCount, Lower

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from importer.cache.layer import LayerCommit
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo

    # The standard ids of the layers below a layer, nearest first, by its own standard id.
    type Parents = Mapping[str, tuple[str, ...]]

_DIFF, _BLOCKER = b"diff", b"blocker"
_PLAIN = Owner(0o755, 0, 0)
_LINK = Owner(0o777, 0, 0)


def cut_layers(
    repo: Repo,
    layers: Mapping[str, LayerCommit],
    parents: Parents,
    label: str | None,
    most_entries: int,
) -> dict[str, LayerCommit]:
    """Return the layers, those that delete files with files of the layers below.

    `layers` are by their standard ids, labelled already where there is a `label`, and have all
    `parents`. Raise ImporterError if the chain of a layer that deletes files is not verified: other
    machines would have other files under the same id. Raise LayerError if these layers hold more
    than `most_entries` entries of the layers below.
    """
    deleting = [layer_id for layer_id, layer in layers.items() if layer.whiteouts]
    _check_verified(layers, parents, frozenset(deleting))
    with repo.locked():
        cutter = _Cutter(repo, layers, parents, label, most_entries)
        cut = cutter.cut(sorted(deleting, key=lambda layer_id: (len(parents[layer_id]), layer_id)))
    return {**layers, **cut}


def _check_verified(
    layers: Mapping[str, LayerCommit], parents: Parents, deleting: frozenset[str]
) -> None:
    for layer_id, below in parents.items():
        chain = [layer_id, *below]
        unverified = next((layer for layer in chain if not layers[layer].verified), None)
        if unverified is not None and not deleting.isdisjoint(chain):
            raise ImporterError(
                f"layer {layers[unverified].commit.metadata.get(DIFF_ID)} has no tar-split record"
                " to verify it by, and a store without whiteouts would hold it under private ids",
                hint="import the image from its registry, or with --flatten",
            )


@dataclass(slots=True)
class _Cutter:
    """Finds the trees that earlier runs have made, and makes the others."""

    _repo: Repo
    _layers: Mapping[str, LayerCommit]
    _parents: Parents
    _label: str | None
    _most: int
    _added: int = 0
    _counts: EntryCount = field(default_factory=EntryCount)
    _cut: dict[str, RepoDirectory] = field(default_factory=dict)

    def cut(self, ids: Iterable[str]) -> dict[str, LayerCommit]:
        """Return these layers without whiteouts. `ids` are standard ids, parents first."""
        kept = {layer_id: self._kept(layer_id) for layer_id in ids}
        missing = [layer_id for layer_id, layer in kept.items() if layer is None]
        made = self._made(missing) if missing else {}
        return made | {layer_id: layer for layer_id, layer in kept.items() if layer is not None}

    def _kept(self, layer_id: str) -> LayerCommit | None:
        """Return the layer that an earlier run has made of the same trees, else None."""
        commit = self._repo.find_head(self._branch(layer_id))
        if commit is None or commit.metadata.get(STACK) != self._stack(layer_id):
            return None
        added = int(str(commit.metadata.get(ADDED_ENTRIES)))
        return self._layer(layer_id, self._repo.root(commit), added)

    def _layer(self, layer_id: str, made: RepoDirectory, added: int) -> LayerCommit:
        """Return the layer with the trees that were `made`. Raise LayerError if the layers so far
        hold too many entries of the layers below them."""
        self._added += added
        if self._added > self._most:
            raise self._too_many()
        diff, blocker = made.directories[_DIFF], made.directories.get(_BLOCKER)
        if blocker is None:
            self._cut[layer_id] = diff
        return replace(self._layers[layer_id], shown=diff, added_entries=added, blocker=blocker)

    def _too_many(self) -> LayerError:
        return LayerError(
            f"layers delete files, and would hold more than {self._most:,} entries of the layers"
            " below them",
            hint="--flatten makes smaller stores of such images; max-entries in the config file"
            " raises the limit",
        )

    def _branch(self, layer_id: str) -> str:
        label = label_hash(self._label) if self._label is not None else ""
        return cut_branch(private_id(layer_id, StoreForm.NONE), label)

    def _stack(self, layer_id: str) -> str:
        """Return a digest of all trees that the layer's tree is made of."""
        trees = [self._layers[layer].tree for layer in (layer_id, *self._parents[layer_id])]
        return sha256("".join(f"{t.contents} {t.meta}\n" for t in trees).encode()).hexdigest()

    def _made(self, ids: list[str]) -> dict[str, LayerCommit]:
        """Make trees. They are durable before a commit names them; see `cache.batch`."""
        trees: dict[str, RepoDirectory] = {}
        made: dict[str, LayerCommit] = {}
        with self._repo.transaction():
            for layer_id in ids:
                trees[layer_id], made[layer_id] = self._written(layer_id)
        with self._repo.transaction():
            for layer_id, layer in made.items():
                facts = ((ADDED_ENTRIES, str(layer.added_entries)), (STACK, self._stack(layer_id)))
                message = Message(f"Layer {layer_id} with the layers below", 0, metadata=facts)
                commit = self._repo.write_commit(trees[layer_id], message)
                self._repo.set_ref(self._branch(layer_id), commit)
        return made

    def _written(self, layer_id: str) -> tuple[RepoDirectory, LayerCommit]:
        """Write the layer's tree. Return the tree as the repo has it: libostree's own form of a
        tree that it builds is many times as large."""
        own, lower = self._tree(layer_id), Lower.of(self._trees(layer_id))
        tree, paths = self._repo.tree(_PLAIN), topmost(own, has_whiteout)
        tree.graft(_DIFF.decode(), own)
        for path in paths:
            *above, name = map(bytes.decode, (_DIFF, *path))
            if (whole := lower.find(path)) is not None:
                place = tree.below("/".join(above))
                place.remove(name)
                fill(place.directory(name, whole.meta), whole, joined(path))
        if () not in paths:
            leaf = self._repo.write_symlink(labelled_owner(_LINK, self._label), TARGET)
            copy(tree.directory(_BLOCKER.decode(), own.meta), blocker_tree(own, paths, leaf))
        made = self._repo.directory(*tree.write())
        entries = sum(map(self._counts.of, made.directories.values()))
        return made, self._layer(layer_id, made, entries - self._counts.of(own))

    def _trees(self, layer_id: str) -> list[RepoDirectory]:
        """Return the trees that are merged, nearest first, down to the next cut layer. Trees of
        layers that are not cut have their whiteouts."""
        trees = [self._tree(layer_id)]
        for parent in self._parents[layer_id]:
            if parent in self._cut:
                return [*trees, self._cut[parent]]
            trees.append(self._tree(parent))
        return trees

    def _tree(self, layer_id: str) -> RepoDirectory:
        """Return a layer's own tree, with its whiteouts."""
        layer = self._layers[layer_id]
        return layer.shown or self._repo.root(layer.commit)
