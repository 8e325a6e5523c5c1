"""The nodes of a layer's own tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from layers.ostree.objects import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from layers.entry import Owner


class Gap(Enum):
    """Placeholder for an entry that ostree cannot store. It also hides a lower entry of that
    name."""

    DEVICE = "a device node that was left out"
    WHITEOUT = "a whiteout as overlayfs writes it"


@dataclass(slots=True, eq=False)
class Leaf:
    """A file or symlink. Its object's checksum is known once it is stored.

    `lost` is true if a later entry took one of its paths: the tree may no longer have it there.
    """

    checksum: str = ""
    lost: bool = False


# `Stored` is a directory that was written with all below it: see `layers.tree.prewrite`.
type Node = Leaf | Directory | Stored | Gap


@dataclass(slots=True, eq=False)
class Directory:
    """A directory of this layer, and the names of the layers below that it hides.

    `owner` is None if the tar does not list the directory. `real` is false if only whiteouts needed
    it: then it appears only where a lower layer has it.
    """

    owner: Owner | None = None
    entries: dict[bytes, Node] = field(default_factory=dict)
    whiteouts: set[bytes] = field(default_factory=set)
    opaque: bool = False
    real: bool = False


def walk(root: Directory) -> Iterator[Directory]:
    """Yield every directory, parents first. Trees may be deeper than Python's recursion limit."""
    work = [root]
    while work:
        directory = work.pop()
        yield directory
        work.extend(node for node in directory.entries.values() if isinstance(node, Directory))


# A directory as its fields, its sub-directories as numbers.
type Row = tuple[Owner | None, dict[bytes, Leaf | Stored | Gap | int], set[bytes], bool, bool]


def rows(root: Directory) -> list[Row]:
    """Return the tree as a flat list, since pickle would recurse as deep as the tree."""
    directories = list(walk(root))
    numbers = {directory: number for number, directory in enumerate(directories)}
    return [
        (
            directory.owner,
            {
                name: numbers[node] if isinstance(node, Directory) else node
                for name, node in directory.entries.items()
            },
            directory.whiteouts,
            directory.opaque,
            directory.real,
        )
        for directory in directories
    ]


def from_rows(listed: Sequence[Row]) -> Directory:
    """Return the tree of a flat list: the inverse of `rows`."""
    directories = [
        Directory(owner, {}, whiteouts, opaque, real)
        for owner, _, whiteouts, opaque, real in listed
    ]
    for directory, (_, entries, *_) in zip(directories, listed, strict=True):
        directory.entries = {
            name: directories[node] if isinstance(node, int) else node
            for name, node in entries.items()
        }
    return directories[0]
