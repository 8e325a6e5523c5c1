"""Compare a layer's blocker with the directories in which its tar deletes names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.repo.labels import unlabelled
from layers.entry import Owner
from layers.path import Path, joined
from layers.storage.mounted import TARGET
from layers.tree.blocked import Blocker, blocker_tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.repo.values import RepoDirectory
    from importer.verify.tree import TreeCheck

_LINK = Owner(0o777, 0, 0)
_END = "end"


@dataclass(frozen=True, slots=True)
class BlockerCheck:
    """Compares a blocker name by name. `tree` checks the layer's own tree, and takes the faults."""

    tree: TreeCheck
    root: RepoDirectory

    def compare(self, whole: Iterable[Path]) -> None:
        """Check that the blocker ends these directories and no other ones. A directory that the
        layer's tree lacks is left out."""
        own = self.tree.tar.root
        there = [path for path in whole if own.find(joined(path).decode()) is not None]
        work: list[tuple[Path, Blocker, RepoDirectory]] = [
            ((), blocker_tree(own, there, _END), self.root)
        ]
        while work:
            path, expected, found = work.pop()
            self._directory(path, expected, found)
            work.extend(
                ((*path, name), expected.directories[name], found.directories[name])
                for name in expected.directories.keys() & found.directories.keys()
            )

    def _directory(self, path: Path, expected: Blocker, found: RepoDirectory) -> None:
        if expected.meta != found.meta:
            self._blame(path, "its mode, owner or xattrs are not those of the layer's directory")
        for name in sorted(expected.leaves.keys() - found.leaves.keys()):
            self._blame((*path, name), "is missing: what the layer deletes there is back")
        names = found.leaves.keys() | found.directories.keys()
        for name in sorted(names - expected.leaves.keys() - expected.directories.keys()):
            self._blame((*path, name), "is there, and the layer's tar deletes nothing in it")
        for name in sorted(expected.directories.keys() - found.directories.keys()):
            self._blame((*path, name), "is no directory, and one below it has to end")
        for name in sorted(expected.leaves.keys() & found.leaves.keys()):
            self._leaf((*path, name), found.leaves[name])

    def _leaf(self, path: Path, checksum: str) -> None:
        try:
            file = self.tree.repo.file(checksum)
        except ImporterError as error:
            self._blame(path, error.message)
            return
        if file.target != TARGET or unlabelled(file.owner) != _LINK:
            self._blame(path, f"is no symlink to {TARGET}")

    def _blame(self, path: Path, problem: str) -> None:
        self.tree.blame(joined(path), f"in the layer's blocker: {problem}")
