"""Compare the merged roots of two versions of an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.repo.values import RepoDirectory
from layers.errors import printable
from layers.path import Path, joined
from layers.tree.lower import Lower

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    diff = TreeDiff()
    work: list[tuple[Path, Lower | None, Lower | None]] = [((), _merged(old), _merged(new))]
    while work:
        path, old_root, new_root = work.pop()
        before, after = _leaves(old_root), _leaves(new_root)
        for name in before.keys() | after.keys():
            place = joined((*path, name))
            if name not in before:
                diff.added.append(place)
            elif name not in after:
                diff.removed.append(place)
            elif before[name] != after[name]:
                diff.changed.append(place)
        old_below, new_below = _directories(old_root), _directories(new_root)
        for name in old_below.keys() | new_below.keys():
            pair = old_below.get(name), new_below.get(name)
            if _contents(pair[0]) != _contents(pair[1]):
                work.append(((*path, name), *pair))
    for paths in (diff.added, diff.removed, diff.changed):
        paths.sort()
    return diff


def _merged(stack: Sequence[RepoDirectory]) -> Lower | None:
    return Lower.of(stack) if stack else None


def _leaves(directory: Lower | None) -> dict[bytes, str]:
    return dict(directory.leaves) if directory else {}


def _directories(directory: Lower | None) -> dict[bytes, Lower]:
    return dict(directory.directories) if directory else {}


def _contents(directory: Lower | None) -> list[str]:
    """Return the checksums that decide on everything below a merged directory."""
    stack = directory.stack if directory else ()
    return [tree.contents for tree in stack if isinstance(tree, RepoDirectory)]
