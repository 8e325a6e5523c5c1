"""The changes that `import-tree translate` makes on disk, as values.

Paths are those of directories below the tree's root; importer/tree/changes.py makes the changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.frozen import frozen

if TYPE_CHECKING:
    from layers.entry import Xattrs
    from layers.path import Path


@frozen
class Node:
    """An entry's mode with the file type, owner, device number, mtime in nanoseconds."""

    mode: int
    uid: int
    gid: int
    device: int
    mtime: int
    xattrs: Xattrs = ()


@frozen
class Quote:
    """Make an empty file `name`, of mode 0 and owner 0:0: a quoted whiteout."""

    directory: Path
    name: bytes


@frozen
class Remove:
    """Remove `name`, which is `node`: a whiteout, or an entry that ostree cannot store."""

    directory: Path
    name: bytes
    node: Node


@frozen
class Clear:
    """Remove the directory's own xattr `name`, whose value is `value`."""

    directory: Path
    name: bytes
    value: bytes


@frozen
class Times:
    """Change nothing. Undone last of a group: the directory gets this mtime (nanoseconds) back."""

    directory: Path
    mtime: int


@frozen
class Fill:
    """Write into the file `name`, which overlayfs's metacopy made, the data of the file at the path
    `source`, and remove the xattrs that mark it.

    `xattrs` are those, and the file's capability, which stays, as does its mtime (nanoseconds).
    `inode` is the file's number, so that no other file under its name is written to.
    """

    directory: Path
    name: bytes
    source: Path
    inode: int
    mtime: int
    xattrs: Xattrs


type Change = Quote | Remove | Clear | Times | Fill
