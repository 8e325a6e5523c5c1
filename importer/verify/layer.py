"""Check one stored layer: its tar against its diffID, its tree against the tar."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from importer.cache.layer import record_name
from importer.errors import ImporterError
from importer.verify.rebuilt_tar import LayerTar
from importer.verify.tree import TreeCheck
from layers.tree.lower import Lower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.storage.layer_record import LayerRecord


@dataclass(frozen=True, slots=True)
class StoredTrees:
    """The objects that a layer is made of.

    `own` is its tree, `lower` are the trees below, nearest first, and `split` is the checksum of
    its tar-split file. Two values are equal if they hold the same objects.
    """

    diff_id: str
    split: str
    checksums: tuple[str, ...]
    record: LayerRecord = field(compare=False)
    own: RepoDirectory = field(compare=False)
    lower: tuple[RepoDirectory, ...] = field(compare=False)

    @classmethod
    def find(
        cls, store: StoreView, record: LayerRecord, below: Sequence[LayerRecord]
    ) -> Self | None:
        """Find a layer's objects; `below` is base first. Return None if a tree or tar-split file
        is missing.
        """
        ids = [record.id, *(layer.id for layer in reversed(below))]
        trees = [store.root.find(f"overlay/{layer_id}/diff") for layer_id in ids]
        found = tuple(tree for tree in trees if tree is not None)
        records = store.root.find("overlay-layers")
        split = records.leaves.get(record_name(record.id).encode()) if records else None
        if len(found) < len(ids) or split is None:
            return None
        checksums = tuple(part for tree in found for part in (tree.contents, tree.meta))
        return cls(str(record.diff_id), split, checksums, record, found[0], found[1:])


@dataclass(frozen=True, slots=True)
class LayerResult:
    """The problems by path, and the tar's size in bytes.

    `ids` are the owners and groups in the tar, None if the tar is not the diffID's.
    """

    problems: tuple[tuple[bytes, str], ...]
    size: int
    ids: tuple[tuple[int, ...], tuple[int, ...]] | None


def check_layer(repo: Repo, trees: StoredTrees) -> LayerResult:
    """Check a layer. An object that cannot be read is a problem like any other."""
    tar = LayerTar(repo, trees.own)
    problems: list[tuple[bytes, str]] = []
    try:
        tar.read(repo.content(trees.split))
        _compare(repo, trees, tar, problems)
    except ImporterError as error:
        problems.append((error.path or b"", error.message))
    said = {problem.path for problem in tar.problems}
    problems = [problem for problem in problems if not problem[0] or problem[0] not in said]
    problems += [(problem.path, problem.text) for problem in tar.problems]
    right = tar.diff_id == trees.diff_id
    ids = tuple(sorted(tar.tree.uids)), tuple(sorted(tar.tree.gids))
    return LayerResult(tuple(problems), tar.size, ids if right else None)


def _compare(
    repo: Repo, trees: StoredTrees, tar: LayerTar, problems: list[tuple[bytes, str]]
) -> None:
    """Compare the tree with the tar's.

    A tar that cannot be read means no tree. If all files are right and the tar still has another
    digest, its headers are wrong and say nothing of the tree.
    """
    if tar.broken:
        return
    if tar.diff_id != trees.diff_id and not tar.problems:
        text = f"record and files make a tar of {tar.diff_id}, not of {trees.diff_id}"
        problems.append((b"", text))
        return
    lower = Lower(trees.lower) if trees.lower else None
    TreeCheck(repo, tar, lower, lambda path, text: problems.append((path, text))).compare()
