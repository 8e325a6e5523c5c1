"""Compare and count the files of images, as overlayfs merges their layers: what two versions of an
image have alone, what a layer ships, and what the layers above hide again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.repo.values import RepoDirectory
from layers.errors import printable
from layers.path import Path, joined
from layers.tree.blocked import MadeDirectory
from layers.tree.lower import Lower
from layers.whiteout import unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from layers.tree.lower import TreeDirectory


@dataclass(slots=True)
class LayerUsage:
    """Counts of one layer.

    `size` is all bytes of file contents that the layer ships. `hidden` is the part that layers
    above delete or replace, and `hidden_files` counts the hidden files. `shown` and `gone` are the
    checksums of the objects of visible and of hidden files.
    """

    files: int = 0
    directories: int = 0
    whiteouts: int = 0
    size: int = 0
    hidden: int = 0
    hidden_files: int = 0
    shown: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)


def layer_usage(repo: Repo, store: StoreView, image: ImageView) -> list[LayerUsage]:
    """Count the layers of an image, base first."""
    own = [store.own(layer) for layer in reversed(image.layers)]
    return _UsageWalk(own, repo.file_size).layers[::-1]


class _UsageWalk:
    """Walks the layers' trees together, as overlayfs merges them, each once.

    `stack` has the layers' trees nearest first, and `layers` their counts in the same order.
    `size_of` returns the size of a file object's content in bytes, by its checksum.
    """

    def __init__(self, stack: Sequence[TreeDirectory], size_of: Callable[[str], int]) -> None:
        self.layers = [LayerUsage() for _ in stack]
        self._size_of = size_of
        work = [list(enumerate(stack))]
        while work:
            work.extend(self._merge(work.pop()))

    def _merge(
        self, stack: list[tuple[int, TreeDirectory]]
    ) -> list[list[tuple[int, TreeDirectory]]]:
        """Count one merged directory. Return its sub-directories, each with the trees that merge in
        it."""
        seen: set[bytes] = set()  # names that a nearer layer has as a leaf, or deletes
        merged: dict[bytes, list[tuple[int, TreeDirectory]]] = {}
        for number, directory in stack:
            self.layers[number].directories += 1
            ended: set[bytes] = set()
            for name, checksum in directory.leaves.items():
                deleted = unquoted(name)
                ended.add(name if deleted is None else deleted)
                if deleted is not None:
                    self.layers[number].whiteouts += 1
                else:
                    self._count(number, checksum, name in seen or name in merged)
            for name, below in directory.directories.items():
                if name in seen:
                    self._hide(number, below)
                else:
                    merged.setdefault(name, []).append((number, below))
            seen |= ended
        return list(merged.values())

    def _count(self, number: int, checksum: str, hidden: bool) -> None:
        usage, size = self.layers[number], self._size_of(checksum)
        usage.files += 1
        usage.size += size
        (usage.gone if hidden else usage.shown).add(checksum)
        if hidden:
            usage.hidden += size
            usage.hidden_files += 1

    def _hide(self, number: int, root: TreeDirectory) -> None:
        work = [root]
        while work:
            directory = work.pop()
            self.layers[number].directories += 1
            for name, checksum in directory.leaves.items():
                if unquoted(name) is None:
                    self._count(number, checksum, hidden=True)
                else:
                    self.layers[number].whiteouts += 1
            work.extend(directory.directories.values())


@dataclass(slots=True)
class TreeDiff:
    """Paths of files and symlinks that differ. A directory counts by what is in it."""

    added: list[bytes] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)
    changed: list[bytes] = field(default_factory=list)

    def by_sign(self) -> tuple[tuple[str, list[bytes]], ...]:
        """Return the paths of each kind, with the kind's sign."""
        return ("+", self.added), ("~", self.changed), ("-", self.removed)

    def __str__(self) -> str:
        counts = (f"{sign}{len(paths):,}" for sign, paths in self.by_sign() if paths)
        return " ".join(counts) or "the same files"


def changed_files(files: TreeDiff, *, counted: bool) -> dict[str, object]:
    """Return the numbers or the paths of changed files, for JSON."""

    def told(paths: Sequence[bytes]) -> object:
        return len(paths) if counted else [printable(path) for path in paths]

    return {
        "added": told(files.added),  # with `--files` the paths, else a number
        "removed": told(files.removed),  # likewise
        "changed": told(files.changed),  # likewise
    }


def tree_diff(old: Sequence[RepoDirectory], new: Sequence[RepoDirectory]) -> TreeDiff:
    """Compare two stacks of layers, nearest first, each as overlayfs merges it."""
    diff, nothing = TreeDiff(), Lower(MadeDirectory(""))
    roots = [Lower.of(stack) if stack else nothing for stack in (old, new)]
    work: list[tuple[Path, Lower, Lower]] = [((), roots[0], roots[1])]
    while work:
        path, before, after = work.pop()
        for name in before.leaves.keys() | after.leaves.keys():
            place = joined((*path, name))
            if name not in before.leaves:
                diff.added.append(place)
            elif name not in after.leaves:
                diff.removed.append(place)
            elif before.leaves[name] != after.leaves[name]:
                diff.changed.append(place)
        for name in before.directories.keys() | after.directories.keys():
            one, other = (root.directories.get(name, nothing) for root in (before, after))
            if _contents(one) != _contents(other):
                work.append(((*path, name), one, other))
    for paths in (diff.added, diff.removed, diff.changed):
        paths.sort()
    return diff


def _contents(directory: Lower) -> list[str]:
    """Return the checksums that decide on everything below a merged directory."""
    return [tree.contents for tree in directory.stack if isinstance(tree, RepoDirectory)]
