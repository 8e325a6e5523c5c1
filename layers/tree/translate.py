"""Close a layer: translate it, on top of the layers below, into a tree without opaque markers.

The rules are those of docs/semantics.md. A whiteout hides entries of lower layers, never those of
its own layer. An opaque directory becomes one whiteout for each name that it hides, in it and in
each directory below it that the layer makes anew: an opaque xattr would not survive rpm-ostree's
and osbuild's commits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layers.entry import Owner
from layers.errors import LayerError, printable
from layers.frozen import frozen
from layers.ostree.bounds import check_directory, check_whiteout, may_be_too_large
from layers.ostree.objects import Stored, dirmeta, dirtree
from layers.path import components, joined
from layers.tree.node import Directory, Gap, Leaf, walk
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from layers.tree.builder import LayerTree
    from layers.tree.lower import Lower
    from layers.tree.prewrite import Store

# The owner that docker, podman and umoci give a directory that no tar lists.
DEFAULT_OWNER = Owner(0o755, 0, 0)
# The owner that containers-storage's overlay driver gives every layer's root (overlay.go,
# defaultPerms), whatever the tar has: many a tar was packed from a `mktemp -d`, 0700.
ROOT_OWNER = Owner(0o555, 0, 0)


@dataclass(slots=True, eq=False)
class Settled:
    """A directory ready for ostree. `meta` is an owner, or the dirmeta checksum of the lower
    directory. `stored` are sub-directories that the repo has."""

    meta: Owner | str
    leaves: dict[bytes, Leaf] = field(default_factory=dict)
    directories: dict[bytes, Settled] = field(default_factory=dict)
    stored: dict[bytes, Stored] = field(default_factory=dict)
    whiteouts: list[bytes] = field(default_factory=list)


@frozen
class _TreePlace:
    """A directory to close, and the stack below it, None if no lower layer has the directory."""

    parent: _TreePlace | None
    name: bytes
    directory: Directory
    lower: Lower | None
    settled: Settled
    opaque: bool  # nothing below shines through

    def hides(self, name: bytes) -> bool:
        """Return whether this layer deletes the lower layers' entry of this name."""
        return self.opaque or name in self.directory.whiteouts

    def path(self, name: bytes) -> bytes:
        """Return the path of an entry, for errors. No path is kept: in deep trees, the paths of
        all directories would take too much memory."""
        names, place = [name], self
        while place.parent is not None:
            names.append(place.name)
            place = place.parent
        return joined(tuple(reversed(names)))


def settle(tree: LayerTree, lower: Lower | None) -> Settled:
    """Return the layer's tree on top of `lower`, the merged tree below; None for a base layer.

    Raise LayerError, with the path, for a hardlink to a file that neither has, and for a directory
    that ostree could not hold.
    """
    _resolve_links(tree, lower)
    dependent = _dependent(tree.root)
    root = Settled(ROOT_OWNER)
    work = [_TreePlace(None, b"", tree.root, lower, root, tree.root.opaque)]
    while work:
        work.extend(_close(work.pop(), dependent))
    return root


def _dependent(root: Directory) -> set[Directory]:
    """Return the directories that depend on the layers below.

    Most directories do not; then the lower trees need not be read.
    """
    dependent: set[Directory] = set()
    for directory in reversed(list(walk(root))):
        if (
            directory.owner is None
            or directory.opaque
            or directory.whiteouts
            or any(node in dependent for node in directory.entries.values())
        ):
            dependent.add(directory)
    return dependent


def _resolve_links(tree: LayerTree, lower: Lower | None) -> None:
    for link in tree.links:
        checksum = lower.find_leaf(components(link.target)) if lower else None
        if checksum is None:
            raise LayerError(
                f"hardlink to {printable(link.target)}, which is no file of this layer so far,"
                " nor of one below",
                path=link.path,
            )
        link.leaf.checksum = checksum


def _close(place: _TreePlace, dependent: set[Directory]) -> Iterable[_TreePlace]:
    directory, lower, settled = place.directory, place.lower, place.settled
    for name, node in directory.entries.items():
        if isinstance(node, Leaf):
            settled.leaves[name] = node
            continue
        if isinstance(node, Stored):
            settled.stored[name] = node
            continue
        if isinstance(node, Gap):
            continue
        asks = lower is not None and (node in dependent or place.hides(name))
        below = lower.directory(name) if lower is not None and asks else None
        if lower is not None and asks and node.owner is None and not place.hides(name):
            _check_passable(lower, name, place)
        # Whiteouts in a directory that no layer has hide nothing, and must not make the directory.
        if node.real or (below is not None and not place.hides(name)):
            yield _enter(place, name, node, below)
    if lower is not None and (place.opaque or directory.whiteouts):
        hidden = lower.names if place.opaque else set(filter(lower.shows, directory.whiteouts))
        here = settled.leaves.keys() | settled.directories.keys() | settled.stored.keys()
        settled.whiteouts = sorted(hidden - here)
    _check_bounds(place)


def _check_bounds(place: _TreePlace) -> None:
    settled = place.settled
    for name in settled.whiteouts:
        try:
            check_whiteout(name)
        except LayerError as error:
            raise error.within(path=place.path(name)) from None
    groups = (settled.leaves, settled.whiteouts, settled.directories, settled.stored)
    if not may_be_too_large(sum(map(len, groups))):
        return
    try:
        check_directory(
            [*settled.leaves, *map(quoted, settled.whiteouts)],
            [*settled.directories, *settled.stored],
        )
    except LayerError as error:
        raise error.within(path=place.path(b"").rstrip(b"/")) from None


def _check_passable(lower: Lower, name: bytes, place: _TreePlace) -> None:
    """Raise LayerError where an unlisted directory meets a file or symlink of a lower layer.

    umoci and GNU tar follow the symlink, podman and containerd put a directory in its place. One of
    the two trees would be silently wrong.
    """
    if lower.leaf(name) is not None:
        raise LayerError(
            "the path leads through what is no directory in a lower layer",
            path=place.path(name),
            hint="a layer that turns it into a directory has to list that directory",
        )


def _enter(place: _TreePlace, name: bytes, node: Directory, below: Lower | None) -> _TreePlace:
    replaced = place.hides(name)
    inherited = below.meta if below is not None and not replaced else DEFAULT_OWNER
    settled = Settled(node.owner or inherited)
    place.settled.directories[name] = settled
    return _TreePlace(place, name, node, below, settled, replaced or node.opaque)


def write_settled(
    root: Settled, store: Store, whiteout: Callable[[Settled, bytes], str]
) -> dict[Settled, Stored]:
    """Write the directories of a tree whose files are stored, with quoted whiteouts. Return the
    objects of each.

    `store` is that of `layers.tree.prewrite.seal`. `whiteout` returns the checksum of the empty
    file that quotes a whiteout of this name in this directory.
    """
    directories = [root]
    for directory in directories:
        directories += directory.directories.values()
    written: dict[Settled, Stored] = {}
    metas: dict[Owner | str, str] = {}
    for directory in reversed(directories):  # children before parents
        files = {name: leaf.checksum for name, leaf in directory.leaves.items()}
        files |= {quoted(name): whiteout(directory, name) for name in directory.whiteouts}
        below = {name: written[sub] for name, sub in directory.directories.items()}
        owner = directory.meta
        if owner not in metas:
            metas[owner] = owner if isinstance(owner, str) else store("dirmeta", dirmeta(owner))
        contents = store("dirtree", dirtree(files, below | directory.stored))
        written[directory] = Stored(contents, metas[owner])
    return written
