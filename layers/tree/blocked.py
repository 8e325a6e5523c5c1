"""Blockers: how a layer deletes names in a store without whiteouts.

overlayfs merges the directories of one path in all layers, from the top down, until a layer has
something else than a directory there. So a layer can delete a name without a whiteout: the layer
holds the whole directory as it is seen, and a second tree, the layer's *blocker*, which is mounted
between the layer and the layers below, has a symlink in the directory's place. A layer's *own part*
is the tree that the layer would be with whiteouts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layers.tree.lower import StoredDirectory, each_directory
from layers.whiteout import quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from layers.path import Path
    from layers.tree.lower import Lower, Nested, TreeDirectory

    # A directory of a layer's own part, the same in the layer's tree, and in the layers below.
    type Pair = tuple[MadeDirectory, StoredDirectory, Lower | None]


@dataclass(slots=True)
class MadeDirectory:
    """A directory of a blocker, or of a layer's own part; a `layers.tree.lower.TreeDirectory`.

    Each leaf of a blocker ends the directory of its name in the layers below. The owner is that of
    the layer's own directory. Whiteouts of an own part have no checksum.
    """

    meta: str
    leaves: dict[bytes, str] = field(default_factory=dict)
    directories: dict[bytes, TreeDirectory] = field(default_factory=dict)


def has_whiteout(directory: TreeDirectory) -> bool:
    """Return whether the directory itself has a quoted whiteout."""
    return any(unquoted(name) is not None for name in directory.leaves)


def topmost[D: Nested](root: D, deletes: Callable[[D], bool]) -> tuple[Path, ...]:
    """Return the paths of the topmost directories that `deletes` accepts. The root's path is ()."""
    paths: list[Path] = []
    work: list[tuple[Path, D]] = [((), root)]
    while work:
        path, directory = work.pop()
        if deletes(directory):
            paths.append(path)
        else:
            work.extend(((*path, name), child) for name, child in directory.directories.items())
    return tuple(sorted(paths))


def blocker_tree(root: TreeDirectory, paths: Iterable[Path], leaf: str) -> MadeDirectory:
    """Return the tree with a `leaf` at each of the paths, which are directories below `root`."""
    made: dict[Path, MadeDirectory] = {(): MadeDirectory(root.meta)}
    for path in paths:
        here, into = root, made[()]
        for end, name in enumerate(path[:-1], 1):
            here = here.directories[name]
            if path[:end] not in made:
                made[path[:end]] = into.directories[name] = MadeDirectory(here.meta)
            into = made[path[:end]]
        into.leaves[path[-1]] = leaf
    return made[()]


def blocked_paths(blocker: TreeDirectory) -> tuple[Path, ...]:
    """Return the paths of the directories that a blocker ends."""
    directories = each_directory(blocker)
    return tuple(sorted((*path, name) for path, node in directories for name in node.leaves))


def own_part(
    root: StoredDirectory, below: Lower, blocker: TreeDirectory | None = None
) -> TreeDirectory:
    """Return the own part of a layer, given its tree and the layers below.

    The `blocker`, None for a cut layer, names the directories that have files of the layers below;
    all others are the layer's own. A file that a layer below has, too, is left out: a tree cannot
    tell whether the layer brought the file again.
    """
    if blocker is None:
        return _part(root, below)
    top = MadeDirectory(root.meta, dict(root.leaves))
    work: list[tuple[MadeDirectory, StoredDirectory, Lower | None, TreeDirectory]] = [
        (top, root, below, blocker)
    ]
    while work:
        part, here, lower, ends = work.pop()
        for name, stored in here.directories.items():
            deeper = lower.directory(name) if lower is not None else None
            part.directories[name] = stored
            if name in ends.leaves:
                part.directories[name] = _part(stored, deeper)
            elif name in ends.directories:
                child = MadeDirectory(stored.meta, dict(stored.leaves))
                part.directories[name] = child
                work.append((child, stored, deeper, ends.directories[name]))
    return top


def _part(top: StoredDirectory, below: Lower | None) -> MadeDirectory:
    """Compare a directory with all that the layers below have there. Without recursion, so that
    the depth has no bound."""
    root = MadeDirectory(top.meta)
    parents: list[tuple[Pair, MadeDirectory, bytes]] = []
    work: list[Pair] = [(root, top, below)]
    while work:
        part, here, lower = work.pop()
        part.leaves = _leaves(here, lower)
        for name, stored in here.directories.items():
            deeper = lower.directory(name) if lower is not None else None
            if deeper is None or not _same(stored, deeper):
                pair = (MadeDirectory(stored.meta), stored, deeper)
                parents.append((pair, part, name))
                work.append(pair)
    for (part, _, lower), parent, name in reversed(parents):  # children before their parents
        if lower is None or lower.meta != part.meta or part.leaves or part.directories:
            parent.directories[name] = part
    return root


def _leaves(here: StoredDirectory, lower: Lower | None) -> dict[bytes, str]:
    """Return the directory's own files and symlinks, and its whiteouts."""
    if lower is None:
        return dict(here.leaves)
    own = {name: file for name, file in here.leaves.items() if lower.leaf(name) != file}
    hidden = lower.names - here.leaves.keys() - here.directories.keys()
    return own | {quoted(name): "" for name in hidden}


def _same(stored: StoredDirectory, below: Lower) -> bool:
    """Return whether the two are surely one directory of the repo."""
    only = below.only
    return (
        isinstance(only, StoredDirectory)
        and only.contents == stored.contents
        and only.meta == stored.meta
    )
