"""Compare a layer's tree, which may hold files of the layers below, with what its tar makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from layers.entry import Owner, unlabelled
from layers.frozen import frozen
from layers.path import Path, joined
from layers.storage.mounted import TARGET
from layers.tree.blocked import blocker_tree, topmost
from layers.tree.lower import Lower, StoredDirectory
from layers.whiteout import unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.repo.values import RepoDirectory
    from importer.verify.tree import TreeCheck
    from layers.tree.lower import TreeDirectory
    from layers.tree.translate import Settled

    # The last member tells whether all files of the layers below have to be there as well.
    type Place = tuple[Path, Settled, RepoDirectory, Lower | None, bool]

_LINK = Owner(0o777, 0, 0)
_END = "end"


@dataclass(slots=True)
class HeldCheck:
    """Compares the trees name by name. `tree` compares what the layer's tar has itself. A layer
    that `holds` files of the layers below has a `blocker`, None if it is cut."""

    tree: TreeCheck
    holds: bool
    blocker: RepoDirectory | None

    def compare(self, settled: Settled) -> None:
        """Compare with the layer's tree, as an import translates it on top of the layers below."""
        whole = topmost(settled, lambda each: bool(each.whiteouts)) if self.holds else ()
        lower = self.tree.lower if self.holds else None
        work: list[Place] = [((), settled, self.tree.tar.root, lower, () in whole)]
        while work:
            place = work.pop()
            path, expected, stored, below, holds = place
            if holds:
                self.tree.meta(path, expected, stored)
                self._names(place)
            else:
                self.tree.directory(path, expected, stored)
            for name in expected.directories.keys() & stored.directories.keys():
                deeper = below.directory(name) if below is not None else None
                there = expected.directories[name], stored.directories[name]
                inner = (*path, name)
                work.append((inner, *there, deeper, holds or inner in whole))
        if self.holds:
            self._ends(whole)

    def _ends(self, whole: tuple[Path, ...]) -> None:
        """Check what hides the layers below in the directories that the layer holds whole."""
        if self.blocker is not None and () in whole:
            self.tree.fault((), "the layer has a blocker, and its tar deletes a name in the root")
        elif self.blocker is not None:
            tree = replace(self.tree, blame=self._blame_blocker)
            BlockerCheck(tree, self.blocker).compare(whole)
        elif () not in whole:
            problem = (
                "the layer has no file `lower`, and its tar deletes nothing in the root directory"
            )
            self.tree.fault((), problem)

    def _blame_blocker(self, path: bytes, problem: str) -> None:
        self.tree.blame(path, f"in the layer's blocker: {problem}")

    def _names(self, place: Place) -> None:
        """Compare the names of one directory, and the files of the layer's tar."""
        path, expected, stored, below, _ = place
        own = expected.leaves.keys() | expected.directories.keys()
        hidden = set(expected.whiteouts)
        shown = (below.names if below is not None else frozenset()) - hidden - own
        there = stored.leaves.keys() | stored.directories.keys()
        for name in sorted(there - own - shown):
            self.tree.fault((*path, name), _stray(name, hidden))
        self.tree.each(path, own - there, "is missing; the layer's tar has it")
        self._own(path, expected, stored)
        if below is not None:
            for name in sorted(shown):
                self._below((*path, name), name, below, stored)

    def _own(self, path: Path, expected: Settled, stored: RepoDirectory) -> None:
        self.tree.leaves(path, expected, stored.leaves)
        files = expected.leaves.keys() & stored.directories.keys()
        self.tree.each(path, files, "is a directory; the layer's tar has none")
        directories = expected.directories.keys() & stored.leaves.keys()
        self.tree.each(path, directories, "is no directory; the layer's tar has one")

    def _below(self, path: Path, name: bytes, below: Lower, stored: RepoDirectory) -> None:
        """Compare a name that only the layers below have, with everything in it."""
        expected = below.directory(name)
        if expected is None:
            if stored.leaves.get(name) != below.leaf(name):
                self.tree.fault(path, "is not as a layer below has it")
        elif name not in stored.directories:
            self.tree.fault(path, "is not the directory that a layer below has")
        else:
            self._trees(path, expected, stored.directories[name])

    def _trees(self, top: Path, lower: Lower, root: RepoDirectory) -> None:
        work = [(top, lower, root)]
        while work:
            path, expected, stored = work.pop()
            if expected.meta != stored.meta:
                self.tree.fault(path, "its mode, owner or xattrs are not as a layer below has them")
            only = expected.only
            if isinstance(only, StoredDirectory) and only.contents == stored.contents:
                continue
            for name in sorted(stored.leaves.keys() | stored.directories.keys() | expected.names):
                deeper, there = expected.directory(name), stored.directories.get(name)
                if deeper is not None and there is not None:
                    work.append(((*path, name), deeper, there))
                elif stored.leaves.get(name) != expected.leaf(name) or deeper or there:
                    self.tree.fault((*path, name), "is not as the layers below have it")


def _stray(name: bytes, hidden: set[bytes]) -> str:
    if unquoted(name) is not None:
        return "a whiteout, in a store without whiteouts"
    if name in hidden:
        return "is there, and the layer's tar deletes it"
    return "is neither in the layer's tar nor in the layers below"


@frozen
class BlockerCheck:
    """Compares a layer's blocker with the directories in which its tar deletes names. `tree` checks
    the layer's own tree, and takes the faults."""

    tree: TreeCheck
    root: RepoDirectory

    def compare(self, whole: Iterable[Path]) -> None:
        """Check that the blocker ends these directories and no other ones. A directory that the
        layer's tree lacks is left out."""
        own = self.tree.tar.root
        there = [path for path in whole if own.find(joined(path).decode()) is not None]
        work: list[tuple[Path, TreeDirectory, RepoDirectory]] = [
            ((), blocker_tree(own, there, _END), self.root)
        ]
        while work:
            path, expected, stored = work.pop()
            self._directory(path, expected, stored)
            work.extend(
                ((*path, name), expected.directories[name], stored.directories[name])
                for name in expected.directories.keys() & stored.directories.keys()
            )

    def _directory(self, path: Path, expected: TreeDirectory, stored: RepoDirectory) -> None:
        if expected.meta != stored.meta:
            problem = "its mode, owner or xattrs are not those of the layer's directory"
            self.tree.fault(path, problem)
        ends, leads = expected.leaves.keys(), expected.directories.keys()
        names = stored.leaves.keys() | stored.directories.keys()
        missing, strays = ends - stored.leaves.keys(), names - ends - leads
        self.tree.each(path, missing, "is missing: what the layer deletes there is back")
        self.tree.each(path, strays, "is there, and the layer's tar deletes nothing in it")
        files = leads - stored.directories.keys()
        self.tree.each(path, files, "is no directory, and one below it has to end")
        for name in sorted(expected.leaves.keys() & stored.leaves.keys()):
            self._leaf((*path, name), stored.leaves[name])

    def _leaf(self, path: Path, checksum: str) -> None:
        with self.tree.faults(path):
            file = self.tree.repo.file(checksum)
            if file.target != TARGET or unlabelled(file.owner) != _LINK:
                self.tree.fault(path, f"is no symlink to {TARGET}")
