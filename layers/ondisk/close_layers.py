"""A tree found on disk, as ostree takes it: each layer closed over the layers below.

Where a layer's lowers are known, the rules are those of an imported layer
(layers/tree/translate.py): whiteouts that hide nothing are dropped, opaque directories become
whiteouts. Elsewhere every whiteout stays. Several trees are merged as in `ostree commit`, by
ostree's src/libostree/ostree-mutable-tree.c: directories merge and take the later tree's owner,
files replace files, and neither replaces the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.frozen import frozen
from layers.ostree.objects import Stored
from layers.path import joined
from layers.tree.builder import LayerTree
from layers.tree.lower import Lower, each_directory
from layers.tree.node import Directory, Leaf, walk
from layers.tree.translate import Settled, settle
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from layers.entry import Owner
    from layers.path import Path

_HINT = "leave one of the two out, with --skip-list or by another tree"


@frozen
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
    for layer in sorted(layers, key=lambda layer: len(layer.lowers)):
        below = [SettledView(settled[lower]) for lower in layer.lowers]
        settled[layer.directory] = _close(layer.directory, below, closing)
    result = _as_it_is(root, settled)
    closing.whiteouts = sum(len(directory.whiteouts) for _, directory in each_directory(result))
    return result, closing


def _close(directory: Directory, below: Sequence[SettledView], closing: Closing) -> Settled:
    tree = LayerTree()
    tree.root = directory
    settled = settle(tree, Lower.of(below) if below else None)
    settled.meta = _owner(directory)
    whiteouts = sum(len(node.whiteouts - node.entries.keys()) for node in walk(directory))
    closing.dropped += whiteouts - _kept(directory, settled)
    closing.expanded += sum(node.opaque for node in walk(directory))
    return settled


def _owner(directory: Directory) -> Owner:
    if directory.owner is None:
        raise ValueError("a directory on disk has an owner")
    return directory.owner


def _kept(directory: Directory, settled: Settled) -> int:
    """Count the whiteouts of the layer itself that are in the result."""
    count = 0
    work = [(directory, settled)]
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
    return Settled(_owner(directory), whiteouts=sorted(directory.whiteouts))


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
        return {name: SettledView(below) for name, below in self._settled.directories.items()}


def merge(under: Settled, over: Settled) -> None:
    """Add the tree `over` to the tree `under`; LayerError, with the path, for a collision."""
    work: list[tuple[Path, Settled, Settled]] = [((), under, over)]
    while work:
        path, below, above = work.pop()
        _check_kinds(path, below, above)
        below.meta = above.meta
        below.leaves.update(above.leaves)
        below.whiteouts = sorted({*below.whiteouts, *above.whiteouts})
        for name, directory in above.directories.items():
            present = below.directories.setdefault(name, directory)
            if present is not directory:
                work.append(((*path, name), present, directory))
        names = {*below.leaves, *below.directories}
        check_whiteouts(path, below.whiteouts, names)


def _check_kinds(path: Path, below: Settled, above: Settled) -> None:
    for name in above.leaves.keys() & below.directories.keys():
        raise _collision(path, name, "a file cannot replace the directory of an earlier tree")
    for name in above.directories.keys() & below.leaves.keys():
        raise _collision(path, name, "a directory cannot replace the file of an earlier tree")


def check_collisions(root: Settled) -> None:
    """Raise LayerError, with the path, where a tree has a name and deletes it, too."""
    for path, directory in each_directory(root):
        if directory.whiteouts:
            names = {*directory.leaves, *directory.directories, *directory.stored}
            check_whiteouts(path, directory.whiteouts, names)


def check_whiteouts(path: Path, whiteouts: Iterable[bytes], names: Container[bytes]) -> None:
    """Raise LayerError where a name is both deleted and there: ostree could not deploy that."""
    for name in whiteouts:
        if name in names:
            message = f"the name is there, and deleted by a whiteout ({quoted(name).decode()})"
            raise _collision(path, name, message)


def _collision(path: Path, name: bytes, message: str) -> LayerError:
    return LayerError(message, path=joined((*path, name)), hint=_HINT)
