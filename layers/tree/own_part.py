"""A cut layer's own part: what its tree has and the layers below do not, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layers.tree.lower import StoredDirectory
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.tree.lower import Lower

    # A directory of the cut tree, the same below, and the part that is made of the two.
    type Pair = tuple[OwnPart, StoredDirectory, Lower | None]


@dataclass(slots=True)
class OwnPart:
    """A directory of the layer as it would be with whiteouts; a `layers.tree.lower.TreeDirectory`.

    Whiteouts have no checksum.
    """

    meta: str
    leaves: Mapping[bytes, str] = field(default_factory=dict)
    directories: dict[bytes, OwnPart] = field(default_factory=dict)


def own_part(cut: StoredDirectory, below: Lower) -> OwnPart:
    """Return the own part of a cut layer, given its tree and the layers below.

    A file that the layer has just as a layer below has it is not part of it: a tree cannot tell
    whether the layer brought the file again. Without recursion, so that the depth has no bound.
    """
    root = OwnPart(cut.meta)
    parents: list[tuple[Pair, OwnPart, bytes]] = []
    work: list[Pair] = [(root, cut, below)]
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
