"""Check one stored layer: its tar against its diffID, its tree against the tar."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.cache.layer import record_name
from importer.errors import ImporterError
from importer.repo.writer import Repo
from importer.verify.held import HeldCheck
from importer.verify.rebuilt_tar import Problem, RebuiltTar
from importer.verify.tree import TreeCheck
from layers.frozen import frozen
from layers.ostree.objects import Stored
from layers.storage.mounted import mounted
from layers.tree.lower import Lower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.repo.values import RepoDirectory
    from importer.verify.records import RecordCheck
    from layers.storage.layer_record import LayerRecord


@frozen
class LayerResult:
    """The problems, and the size of the tar in bytes. `ids` are the tar's user and group ids, None
    if the tar has another digest than the diffID."""

    problems: tuple[Problem, ...]
    size: int
    ids: tuple[tuple[int, ...], tuple[int, ...]] | None


@frozen
class LayerCheck:
    """A task: check a layer by the objects that it is made of.

    `trees` are its own tree and the trees below, nearest first. `split` is the checksum of its
    tar-split file. `cut` tells whether its tree holds the whole trees below. `blocker` names the
    directories that it holds whole; None for a cut layer, for one that deletes nothing, and for one
    with whiteouts. `size` is the bytes of its tar, as its record says. Two checks are equal if they
    read the same objects.
    """

    repo: Path
    diff_id: str
    split: str
    trees: tuple[Stored, ...]
    cut: bool
    blocker: Stored | None
    size: int = field(compare=False)

    @classmethod
    def of(
        cls, repo: Repo, record: LayerRecord, below: Sequence[LayerRecord], records: RecordCheck
    ) -> Self | None:
        """Find a layer's objects; `below` is base first. Return None if a tree or tar-split file is
        missing."""
        store = records.store.root
        lower = mounted(
            (layer.id for layer in reversed(below)),
            lambda layer_id: store.find(f"overlay/{layer_id}/diff"),
            records.blockers.get,
            records.cut.__contains__,
        )
        trees = [store.find(f"overlay/{record.id}/diff"), *lower]
        split = store.leaf(f"overlay-layers/{record_name(record.id)}")
        if None in trees or split is None:
            return None
        own = records.blockers.get(record.id)
        return cls(
            repo.path,
            str(record.diff_id),
            split,
            tuple(_stored(tree) for tree in trees if tree is not None),
            record.id in records.cut,
            _stored(own) if own is not None else None,
            record.diff_size,
        )

    @property
    def holds_lower(self) -> bool:
        """Return whether the layer's tree has files of the layers below."""
        return self.cut or self.blocker is not None

    def run(self) -> LayerResult:
        """Check the layer. An object that cannot be read is a problem like any other."""
        repo = Repo.open(self.repo)
        own, *lower = (repo.directory(*stored) for stored in self.trees)
        tar = RebuiltTar(repo, own)
        problems: list[Problem] = []
        try:
            tar.read(repo.content(self.split), self.size)
            self._compare(repo, lower, tar, problems)
        except ImporterError as error:
            problems.append(Problem(error.path or b"", error.message))
        told = {problem.path for problem in tar.problems} - {b""}
        problems = [problem for problem in problems if problem.path not in told]
        ids = tuple(sorted(tar.tree.uids)), tuple(sorted(tar.tree.gids))
        right = tar.diff_id == self.diff_id
        return LayerResult((*problems, *tar.problems), tar.size, ids if right else None)

    def _compare(
        self, repo: Repo, lower: Sequence[RepoDirectory], tar: RebuiltTar, problems: list[Problem]
    ) -> None:
        """Compare the tree with the tar's.

        A tar that cannot be read means no tree. If all files are right and the tar still has
        another digest, its headers are wrong and say nothing of the tree.
        """
        if tar.broken:
            return
        if tar.diff_id != self.diff_id and not tar.problems:
            text = f"record and files make a tar of {tar.diff_id}, not of {self.diff_id}"
            problems.append(Problem(b"", text))
            return
        below = Lower.of(lower) if lower else None
        check = TreeCheck(repo, tar, below, lambda path, text: problems.append(Problem(path, text)))
        settled = check.settled()
        if settled is None:
            return
        blocker = repo.directory(*self.blocker) if self.blocker is not None else None
        HeldCheck(check, self.holds_lower, blocker).compare(settled)


def _stored(tree: RepoDirectory) -> Stored:
    return Stored(tree.contents, tree.meta)
