"""Find the directories in which a layer deletes names, and make the tree that ends them below.

overlayfs merges the directories of one path in all layers, from the top down, until a layer has
something else than a directory there. So a layer without whiteouts can delete a name in this way:
it holds the whole directory as it is to be seen, and a second tree, its *blocker*, which is mounted
between it and the layers below, has a symlink in the directory's place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from layers.whiteout import unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from layers.path import Path
    from layers.tree.lower import TreeDirectory


class Nested(Protocol):
    """Anything with sub-directories of its own kind."""

    @property
    def directories(self) -> Mapping[bytes, Self]:
        """Return the sub-directories by name."""


@dataclass(slots=True)
class Blocker:
    """A directory of a blocker; a `layers.tree.lower.TreeDirectory`.

    A leaf is at the place of a directory that ends there. Each directory has the owner that the
    layer's own one has.
    """

    meta: str
    leaves: dict[bytes, str] = field(default_factory=dict)
    directories: dict[bytes, Blocker] = field(default_factory=dict)


def has_whiteout(directory: TreeDirectory) -> bool:
    """Return whether the directory itself has a quoted whiteout."""
    return any(unquoted(name) is not None for name in directory.leaves)


def topmost[D: Nested](root: D, deletes: Callable[[D], bool]) -> tuple[Path, ...]:
    """Return the directories in which a layer deletes a name, without those inside another one.

    `deletes` tells this of a directory. The root's path is ().
    """
    found: list[Path] = []
    work: list[tuple[Path, D]] = [((), root)]
    while work:
        path, directory = work.pop()
        if deletes(directory):
            found.append(path)
        else:
            work.extend(((*path, name), one) for name, one in directory.directories.items())
    return tuple(sorted(found))


def blocker_tree(root: TreeDirectory, paths: Iterable[Path], leaf: str) -> Blocker:
    """Return the tree with a `leaf` at each of the paths, which are directories below `root`."""
    top = Blocker(root.meta)
    for path in paths:
        here, into = root, top
        for name in path[:-1]:
            here = here.directories[name]
            into = into.directories.setdefault(name, Blocker(here.meta))
        into.leaves[path[-1]] = leaf
    return top


def blocked_paths(blocker: TreeDirectory) -> tuple[Path, ...]:
    """Return the directories that a blocker ends."""
    found: list[Path] = []
    work: list[tuple[Path, TreeDirectory]] = [((), blocker)]
    while work:
        path, directory = work.pop()
        found.extend((*path, name) for name in directory.leaves)
        work.extend(((*path, name), one) for name, one in directory.directories.items())
    return tuple(sorted(found))
