"""Write the tree of a layer that holds some directories whole, and its blocker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.stack import fill
from layers.path import Path, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory
    from layers.tree.blocked import Blocker
    from layers.tree.lower import Lower


def fill_with_whole(tree: Tree, own: RepoDirectory, lower: Lower, paths: Sequence[Path]) -> None:
    """Add a layer's `own` files to the tree, and at the `paths` all files that `lower` shows.

    `lower` is the layer with those below. The paths are below the root, none in another. Raise
    LayerError as `importer.cache.stack.fill` does.
    """
    whole = set(paths)
    leading = {path[:end] for path in paths for end in range(1, len(path))}
    work: list[tuple[Tree, RepoDirectory, Path]] = [(tree, own, ())]
    while work:
        into, directory, path = work.pop()
        for name, checksum in directory.leaves.items():
            into.file(name.decode(), checksum)
        for name, below in directory.directories.items():
            deeper = (*path, name)
            if deeper in whole:
                made = into.directory(name.decode(), below.meta)
                fill(made, lower.find(deeper), joined(deeper))
            elif deeper in leading:
                work.append((into.directory(name.decode(), below.meta), below, deeper))
            else:
                into.graft(name.decode(), below)


def add_blocker(tree: Tree, root: Blocker) -> None:
    """Add a blocker to the tree, whose leaf is stored already."""
    work = [(tree, root)]
    while work:
        into, directory = work.pop()
        for name, checksum in directory.leaves.items():
            into.file(name.decode(), checksum)
        for name, below in directory.directories.items():
            work.append((into.directory(name.decode(), below.meta), below))
