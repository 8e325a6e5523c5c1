"""A layer's own part, in a store without whiteouts: what its tree has and the layers below do not,
and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layers.tree.lower import StoredDirectory
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.tree.lower import Lower, TreeDirectory

    # A directory of the layer's tree, the same below, and the part that is made of the two.
    type Pair = tuple[OwnPart, StoredDirectory, Lower | None]


@dataclass(slots=True)
class OwnPart:
    """A directory of the layer as it would be with whiteouts; a `layers.tree.lower.TreeDirectory`.

    Whiteouts have no checksum.
    """

    meta: str
    leaves: Mapping[bytes, str] = field(default_factory=dict)
    directories: dict[bytes, TreeDirectory] = field(default_factory=dict)


def own_part(
    root: StoredDirectory, below: Lower, blocker: TreeDirectory | None = None
) -> TreeDirectory:
    """Return the own part of a layer, given its tree and the layers below.

    A cut layer has no `blocker`. Another one's tells which directories have files of the layers
    below: all else is the layer's own. A file that the layer has just as a layer below has it is
    not part of it: a tree cannot tell whether the layer brought the file again.
    """
    if blocker is None:
        return _part(root, below)
    top = OwnPart(root.meta, root.leaves)
    work: list[tuple[OwnPart, StoredDirectory, Lower | None, TreeDirectory]] = [
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
                child = OwnPart(stored.meta, stored.leaves)
                part.directories[name] = child
                work.append((child, stored, deeper, ends.directories[name]))
    return top


def _part(top: StoredDirectory, below: Lower | None) -> OwnPart:
    """Compare a directory with all that the layers below have there. Without recursion, so that
    the depth has no bound."""
    root = OwnPart(top.meta)
    parents: list[tuple[Pair, OwnPart, bytes]] = []
    work: list[Pair] = [(root, top, below)]
    while work:
        part, here, lower = work.pop()
        part.leaves = _leaves(here, lower)
        for name, stored in here.directories.items():
            deeper = lower.directory(name) if lower is not None else None
            if deeper is None or not _same(stored, deeper):
                pair = (OwnPart(stored.meta), stored, deeper)
                parents.append((pair, part, name))
                work.append(pair)
    for (part, _, lower), parent, name in reversed(parents):  # children before their parents
        if lower is None or lower.meta != part.meta or part.leaves or part.directories:
            parent.directories[name] = part
    return root


def _leaves(here: StoredDirectory, lower: Lower | None) -> Mapping[bytes, str]:
    """Return the directory's own files and symlinks, and its whiteouts."""
    if lower is None:
        return here.leaves
    found = {name: one for name, one in here.leaves.items() if lower.leaf(name) != one}
    hidden = lower.names - here.leaves.keys() - here.directories.keys()
    return found | {quoted(name): "" for name in hidden}


def _same(stored: StoredDirectory, below: Lower) -> bool:
    """Return whether the two are one directory of the repo; False if that takes a closer look."""
    only = below.only
    return (
        isinstance(only, StoredDirectory)
        and only.contents == stored.contents
        and only.meta == stored.meta
    )
