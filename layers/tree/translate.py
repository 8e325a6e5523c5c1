"""Closing a layer: what it means on top of the layers below, in a tree without opaque markers.

The rules are those of docs/semantics.md. A whiteout hides what lower layers have and
never what its own layer has; an opaque directory becomes one whiteout for each name that
it hides, in it and in each directory below it that the layer makes anew, since an xattr
would not survive rpm-ostree's and osbuild's commits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layers.entry import Owner
from layers.errors import LayerError, printable
from layers.ostree.bounds import check_directory, check_whiteout, may_be_too_large
from layers.ostree.objects import Stored
from layers.path import components, joined
from layers.tree.node import Directory, Gap, Leaf, walk
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.tree.builder import LayerTree
    from layers.tree.lower import Lower

# What docker, podman and umoci give a directory that no tar lists.
DEFAULT_OWNER = Owner(0o755, 0, 0)
# containers-storage's overlay driver makes every layer's root so (overlay.go, defaultPerms),
# and passes over what the tar says of it; many a tar was packed from a `mktemp -d`, 0700.
ROOT_OWNER = Owner(0o555, 0, 0)


@dataclass(slots=True, eq=False)
class Settled:
    """A directory for ostree: `meta` is an owner, or the dirmeta checksum of a lower one; what
    is `stored` ostree has already."""

    meta: Owner | str
    leaves: dict[bytes, Leaf] = field(default_factory=dict)
    directories: dict[bytes, Settled] = field(default_factory=dict)
    stored: dict[bytes, Stored] = field(default_factory=dict)
    whiteouts: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory to be closed, and what is below it."""

    parent: _Place | None
    name: bytes
    directory: Directory
    lower: Lower | None
    settled: Settled
    opaque: bool  # nothing below shines through

    def hides(self, name: bytes) -> bool:
        """Whether what the lower layers have under this name is deleted."""
        return self.opaque or name in self.directory.whiteouts

    def path(self, name: bytes) -> bytes:
        """The path of an entry, for people. Deep trees would be too many if all were kept."""
        names, place = [name], self
        while place.parent is not None:
            names.append(place.name)
            place = place.parent
        return joined(tuple(reversed(names)))


def settle(tree: LayerTree, lower: Lower | None) -> Settled:
    """The layer's tree over the merged tree below; `lower` is None for a base layer.

    LayerError for a hardlink to something that neither has.
    """
    _resolve_links(tree, lower)
    curious = _curious(tree.root)
    root = Settled(ROOT_OWNER)
    work = [_Place(None, b"", tree.root, lower, root, tree.root.opaque)]
    while work:
        work.extend(_close(work.pop(), curious))
    return root


def _curious(root: Directory) -> set[Directory]:
    """The directories that have to know what is below them.

    For most of a layer the lower trees do not matter, and then they need not be read.
    """
    found: set[Directory] = set()
    for directory in reversed(list(walk(root))):
        if (
            directory.owner is None
            or directory.opaque
            or directory.whiteouts
            or any(node in found for node in directory.entries.values())
        ):
            found.add(directory)
    return found


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


def _close(place: _Place, curious: set[Directory]) -> Iterable[_Place]:
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
        asks = lower is not None and (node in curious or place.hides(name))
        below = lower.directory(name) if lower is not None and asks else None
        if lower is not None and asks and node.owner is None and not place.hides(name):
            _check_passable(lower, name, place)
        # Whiteouts in a directory that is not there hide nothing, and must not make it.
        if node.real or (below is not None and not place.hides(name)):
            yield _enter(place, name, node, below)
    if lower is not None and (place.opaque or directory.whiteouts):
        hidden = lower.names if place.opaque else set(filter(lower.shows, directory.whiteouts))
        here = settled.leaves.keys() | settled.directories.keys() | settled.stored.keys()
        settled.whiteouts = sorted(hidden - here)
    _check_bounds(place)


def _check_bounds(place: _Place) -> None:
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


def _check_passable(lower: Lower, name: bytes, place: _Place) -> None:
    """LayerError where an unlisted directory meets a file or symlink of a lower layer.

    umoci and GNU tar follow the symlink, podman and containerd put a directory in its
    place; of two trees that could be meant, one would be silently wrong.
    """
    if lower.leaf(name) is not None:
        raise LayerError(
            "the path leads through what is no directory in a lower layer",
            path=place.path(name),
            hint="a layer that turns it into a directory has to list that directory",
        )


def _enter(place: _Place, name: bytes, node: Directory, below: Lower | None) -> _Place:
    replaced = place.hides(name)
    inherited = below.meta if below is not None and not replaced else DEFAULT_OWNER
    settled = Settled(node.owner or inherited)
    place.settled.directories[name] = settled
    return _Place(place, name, node, below, settled, replaced or node.opaque)
