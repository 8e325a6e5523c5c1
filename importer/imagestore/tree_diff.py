"""Compare the merged roots of two versions of an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.repo.values import RepoDirectory
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


def tree_diff(old: Sequence[RepoDirectory], new: Sequence[RepoDirectory]) -> TreeDiff:
    """Compare two stacks of layers, nearest first, each as overlayfs merges it."""
    found = TreeDiff()
    work: list[tuple[Path, Lower | None, Lower | None]] = [((), _merged(old), _merged(new))]
    while work:
        path, one, other = work.pop()
        before, after = _leaves(one), _leaves(other)
        for name in before.keys() | after.keys():
            place = joined((*path, name))
            if name not in before:
                found.added.append(place)
            elif name not in after:
                found.removed.append(place)
            elif before[name] != after[name]:
                found.changed.append(place)
        below, above = _directories(one), _directories(other)
        for name in below.keys() | above.keys():
            pair = below.get(name), above.get(name)
            if _contents(pair[0]) != _contents(pair[1]):
                work.append(((*path, name), *pair))
    for paths in (found.added, found.removed, found.changed):
        paths.sort()
    return found


def _merged(stack: Sequence[RepoDirectory]) -> Lower | None:
    return Lower.of(stack) if stack else None


def _leaves(directory: Lower | None) -> dict[bytes, str]:
    return dict(directory.leaves) if directory else {}


def _directories(directory: Lower | None) -> dict[bytes, Lower]:
    return dict(directory.directories) if directory else {}


def _contents(directory: Lower | None) -> list[str]:
    """Return the checksums that decide on everything below a merged directory."""
    stack = directory.stack if directory else ()
    return [one.contents for one in stack if isinstance(one, RepoDirectory)]
