"""What a layer's own tree is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from layers.ostree.objects import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from layers.entry import Owner


class Gap(Enum):
    """What a name is taken for that ostree cannot hold: nothing is there, nor shines through."""

    DEVICE = "a device node that was left out"
    WHITEOUT = "a whiteout as overlayfs writes it"


@dataclass(slots=True, eq=False)
class Leaf:
    """A file or symlink; its object's checksum is known once it is stored.

    `lost` if a later entry took a path of it: the tree may not have it there any more.
    """

    checksum: str = ""
    lost: bool = False


# What is `Stored` has been written, with all that is below it: see `layers.tree.prewrite`.
type Node = Leaf | Directory | Stored | Gap


@dataclass(slots=True, eq=False)
class Directory:
    """Names of this layer, and what it hides of the layers below.

    `owner` is None where the tar never lists the directory itself. A directory that only
    whiteouts needed is not `real`: it is not to appear where no lower layer has it.
    """

    owner: Owner | None = None
    entries: dict[bytes, Node] = field(default_factory=dict)
    whiteouts: set[bytes] = field(default_factory=set)
    opaque: bool = False
    real: bool = False


def walk(root: Directory) -> Iterator[Directory]:
    """Every directory, parents first; without recursion, however deep it is."""
    work = [root]
    while work:
        directory = work.pop()
        yield directory
        work.extend(node for node in directory.entries.values() if isinstance(node, Directory))


# A directory as its fields, its sub-directories as numbers.
type Row = tuple[Owner | None, dict[bytes, Leaf | Stored | Gap | int], set[bytes], bool, bool]


def rows(root: Directory) -> list[Row]:
    """The tree as a list, for pickle, which would go as deep as the tree does."""
    directories = list(walk(root))
    numbers = {directory: number for number, directory in enumerate(directories)}
    return [
        (
            one.owner,
            {
                name: numbers[node] if isinstance(node, Directory) else node
                for name, node in one.entries.items()
            },
            one.whiteouts,
            one.opaque,
            one.real,
        )
        for one in directories
    ]


def from_rows(listed: Sequence[Row]) -> Directory:
    """The inverse of `rows`."""
    directories = [Directory() for _ in listed]
    for one, (owner, entries, whiteouts, opaque, real) in zip(directories, listed, strict=True):
        one.owner, one.whiteouts, one.opaque, one.real = owner, whiteouts, opaque, real
        one.entries = {
            name: directories[node] if isinstance(node, int) else node
            for name, node in entries.items()
        }
    return directories[0]
