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


# What is `Stored` has been written, with all that is below it: see `layers.tree.prewrite`.
type Node = Leaf | Directory | Stored | Gap


@dataclass(slots=True, eq=False)
class Directory:
    """A directory of this layer, and what it hides of the layers below.

    `owner` is None if the tar does not list the directory. `real` is false if only whiteouts needed
    it: then it appears only where a lower layer has it.
    """

    owner: Owner | None = None
    entries: dict[bytes, Node] = field(default_factory=dict)
    whiteouts: set[bytes] = field(default_factory=set)
    opaque: bool = False
    real: bool = False


def walk(root: Directory) -> Iterator[Directory]:
    """Yield every directory, parents first. Without recursion, so that the depth has no bound."""
    work = [root]
    while work:
        directory = work.pop()
        yield directory
        work.extend(node for node in directory.entries.values() if isinstance(node, Directory))


# A directory as its fields, its sub-directories as numbers.
type Row = tuple[Owner | None, dict[bytes, Leaf | Stored | Gap | int], set[bytes], bool, bool]


def rows(root: Directory) -> list[Row]:
    """Return the tree as a flat list, for pickle, which would recurse as deep as the tree."""
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
    """Return the tree that `rows` was given."""
    directories = [Directory() for _ in listed]
    for one, (owner, entries, whiteouts, opaque, real) in zip(directories, listed, strict=True):
        one.owner, one.whiteouts, one.opaque, one.real = owner, whiteouts, opaque, real
        one.entries = {
            name: directories[node] if isinstance(node, int) else node
            for name, node in entries.items()
        }
    return directories[0]
