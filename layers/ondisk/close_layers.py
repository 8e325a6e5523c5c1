"""A tree found on disk, as ostree takes it: each layer closed over the layers below.

Where a layer's lowers are known, the rules are those of an imported layer
(layers/tree/translate.py): whiteouts that hide nothing are dropped, opaque directories become
whiteouts. Elsewhere every whiteout stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from layers.ostree.objects import Stored
from layers.tree.builder import LayerTree
from layers.tree.lower import Lower
from layers.tree.node import Directory, Leaf, walk
from layers.tree.translate import Settled, settle
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from layers.path import Path


@dataclass(frozen=True, slots=True)
class OverlayLayer:
    """A layer in the tree: its directory, and those of the layers below, nearest first."""

    directory: Directory
    lowers: tuple[Directory, ...]


@dataclass(slots=True)
class Closing:
    """Counts of whiteouts and opaque directories by their outcome."""

    whiteouts: int = 0  # quoted, in the result
    dropped: int = 0  # hid nothing
    expanded: int = 0  # opaque directories that became whiteouts


def close_tree(root: Directory, layers: Iterable[OverlayLayer]) -> tuple[Settled, Closing]:
    """Close all layers and return the whole tree; `layers` are below `root`, none in another.

    A layer's lowers are among `layers`, and have fewer lowers than the layer itself.
    """
    closing = Closing()
    settled: dict[Directory, Settled] = {}
    for layer in sorted(layers, key=lambda one: len(one.lowers)):
        below = [SettledView(settled[lower]) for lower in layer.lowers]
        settled[layer.directory] = _close(layer.directory, below, closing)
    result = _as_it_is(root, settled)
    closing.whiteouts = sum(len(one.whiteouts) for _, one in settled_paths(result))
    return result, closing


def _close(directory: Directory, below: Sequence[SettledView], closing: Closing) -> Settled:
    tree = LayerTree()
    tree.root = directory
    found = settle(tree, Lower.of(below) if below else None)
    if directory.owner is None:
        raise ValueError("a directory on disk has an owner")
    found.meta = directory.owner
    asked = sum(len(one.whiteouts - one.entries.keys()) for one in walk(directory))
    closing.dropped += asked - _kept(directory, found)
    closing.expanded += sum(one.opaque for one in walk(directory))
    return found


def _kept(directory: Directory, found: Settled) -> int:
    """Count the whiteouts of the layer itself that are in the result."""
    count = 0
    work = [(directory, found)]
    while work:
        before, after = work.pop()
        count += len(before.whiteouts.intersection(after.whiteouts))
        work.extend(
            (node, after.directories[name])
            for name, node in before.entries.items()
            if isinstance(node, Directory)
        )
    return count


def _as_it_is(root: Directory, closed: Mapping[Directory, Settled]) -> Settled:
    """Return the tree with every whiteout, but for the layers that are closed already."""
    result = _shallow(root, closed)
    work = [(root, result)]
    while work:
        directory, settled = work.pop()
        if directory in closed:
            continue
        for name, node in directory.entries.items():
            if isinstance(node, Directory):
                settled.directories[name] = _shallow(node, closed)
                work.append((node, settled.directories[name]))
            elif isinstance(node, Leaf):
                settled.leaves[name] = node
            elif isinstance(node, Stored):
                settled.stored[name] = node
    return result


def _shallow(directory: Directory, closed: Mapping[Directory, Settled]) -> Settled:
    if directory in closed:
        return closed[directory]
    if directory.owner is None:
        raise ValueError("a directory on disk has an owner")
    return Settled(directory.owner, whiteouts=sorted(directory.whiteouts))


def settled_paths(root: Settled, path: Path = ()) -> list[tuple[Path, Settled]]:
    """Return every directory with its path, parents first; `path` is the root's own."""
    found = [(path, root)]
    for here, directory in found:
        found += [((*here, name), one) for name, one in directory.directories.items()]
    return found


class SettledView:
    """A closed layer's directory as a `layers.tree.lower.TreeDirectory`. Its files' objects need
    not be known yet."""

    meta = ""

    def __init__(self, settled: Settled) -> None:
        self._settled = settled

    @cached_property
    def leaves(self) -> Mapping[bytes, str]:
        """Return the names of files, symlinks and quoted whiteouts, without checksums."""
        names = [*self._settled.leaves, *map(quoted, self._settled.whiteouts)]
        return dict.fromkeys(names, "")

    @cached_property
    def directories(self) -> Mapping[bytes, SettledView]:
        """Return the directory's sub-directories by name."""
        return {name: SettledView(one) for name, one in self._settled.directories.items()}
