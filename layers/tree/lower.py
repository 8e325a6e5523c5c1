"""Read what the layers below show at a directory: overlayfs's merge, computed lazily.

Source: the kernel's Documentation/filesystems/overlayfs.rst, "Whiteouts and opaque directories".
Our layers have quoted whiteouts and nothing opaque.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from layers.whiteout import quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from layers.path import Path


class TreeDirectory(Protocol):
    """A stored directory of one layer."""

    @property
    def meta(self) -> str:
        """The checksum of its dirmeta object."""

    @property
    def leaves(self) -> Mapping[bytes, str]:
        """The names of its files and symlinks, with their objects' checksums."""

    @property
    def directories(self) -> Mapping[bytes, TreeDirectory]:
        """Return the directory's sub-directories by name."""


@runtime_checkable
class StoredDirectory(TreeDirectory, Protocol):
    """A directory that ostree has; `contents` is its dirtree's checksum."""

    @property
    def contents(self) -> str:
        """The checksum of its dirtree object, which decides on everything in the directory."""

    @property
    def directories(self) -> Mapping[bytes, StoredDirectory]:
        """Return the directory's sub-directories by name."""


def find_leaf(root: TreeDirectory, path: Path) -> str | None:
    """Return the checksum of the file or symlink at a path below `root`, or None."""
    node: TreeDirectory | None = root
    for name in path[:-1]:
        node = node.directories.get(name) if node else None
    return node.leaves.get(path[-1]) if node and path else None


class Lower:
    """A directory as seen through a stack of layers, nearest first. At least one layer has it.

    A stack is a layer on top of another stack. `above` shares the answers that the lower stack has
    found, so that closing an image's layers takes a time that grows with their entries, and not
    with the number of layers.
    """

    def __init__(self, stack: Sequence[TreeDirectory]) -> None:
        nearest, *others = stack
        below: Lower | None = None
        for layer in reversed(others):
            below = Lower._made(layer, below)
        self._init(nearest, below)

    @classmethod
    def above(cls, below: Lower | None, nearest: TreeDirectory) -> Lower:
        """Return the stack of one more layer."""
        return cls._made(nearest, below)

    @classmethod
    def _made(cls, nearest: TreeDirectory, below: Lower | None) -> Lower:
        made = cls.__new__(cls)
        made._init(nearest, below)
        return made

    def _init(self, nearest: TreeDirectory, below: Lower | None) -> None:
        self._nearest = nearest
        self._below = below
        self._names: frozenset[bytes] | None = None
        self._subdirectories: dict[bytes, Lower | None] = {}

    @property
    def meta(self) -> str:
        """The checksum of the visible dirmeta: the nearest layer's."""
        return self._nearest.meta

    @property
    def only(self) -> TreeDirectory | None:
        """The layer's own directory, if it is the only one of the stack; else None."""
        return self._nearest if self._below is None else None

    @property
    def stack(self) -> Sequence[TreeDirectory]:
        """The layers' own directories, nearest first."""
        return [one._nearest for one in self._chain()]

    @property
    def names(self) -> frozenset[bytes]:
        """All visible names."""
        work: list[Lower] = []
        visible: set[bytes] = set()
        for one in self._chain():
            if one._names is not None:
                visible = set(one._names)
                break
            work.append(one)
        for one in reversed(work):
            one._add_to(visible)
        self._names = frozenset(visible)
        return self._names

    def _add_to(self, visible: set[bytes]) -> None:
        """Change the names that show below into those that show here."""
        for name in self._nearest.leaves:
            hidden = unquoted(name)
            if hidden is None:
                visible.add(name)
            else:
                visible.discard(hidden)
        visible.update(self._nearest.directories)

    def shows(self, name: bytes) -> bool:
        """Return whether anything of this name is visible."""
        for one in self._chain():
            if name in one._nearest.directories or name in one._nearest.leaves:
                return unquoted(name) is None
            if quoted(name) in one._nearest.leaves:
                return False
        return False

    def leaf(self, name: bytes) -> str | None:
        """Return the checksum of the visible file or symlink of this name, or None."""
        for one in self._chain():
            if name in one._nearest.leaves:
                return one._nearest.leaves[name] if unquoted(name) is None else None
            if name in one._nearest.directories or quoted(name) in one._nearest.leaves:
                return None
        return None

    def directory(self, name: bytes) -> Lower | None:
        """Return the visible sub-directory of this name, or None. The layers that say nothing
        about the name have the one of the layers below them."""
        work: list[Lower] = []
        found: Lower | None = None
        for one in self._chain():
            if name in one._subdirectories:
                found = one._subdirectories[name]
                break
            work.append(one)
            if name in one._nearest.leaves or quoted(name) in one._nearest.leaves:
                break  # nothing below shows
        for one in reversed(work):
            own = one._nearest.directories.get(name)
            if own is not None:
                found = Lower.above(found, own)
            one._subdirectories[name] = found
        return found

    def find(self, path: Path) -> Lower | None:
        """Return the visible directory at a path below this one, or None."""
        directory: Lower | None = self
        for name in path:
            directory = directory.directory(name) if directory else None
        return directory

    def find_leaf(self, path: Path) -> str | None:
        """Return the checksum of the visible file or symlink at a path below this directory."""
        directory = self.find(path[:-1])
        return directory.leaf(path[-1]) if directory and path else None

    @property
    def leaves(self) -> Mapping[bytes, str]:
        """The visible files and symlinks, with their objects' checksums."""
        return self._merged[0]

    @cached_property
    def directories(self) -> Mapping[bytes, Lower]:
        """The visible sub-directories by name."""
        return {name: Lower(stack) for name, stack in self._merged[1].items()}

    def _chain(self) -> Iterator[Lower]:
        one: Lower | None = self
        while one is not None:
            yield one
            one = one._below

    @cached_property
    def _merged(self) -> tuple[dict[bytes, str], dict[bytes, list[TreeDirectory]]]:
        """Merge the stack. The nearest layer with a name decides; directories merge downwards until
        a layer ends them."""
        leaves: dict[bytes, str] = {}
        directories: dict[bytes, list[TreeDirectory]] = {}
        closed: set[bytes] = set()
        for layer in self.stack:
            ended: set[bytes] = set()
            for name, checksum in layer.leaves.items():
                hidden = unquoted(name)
                ended.add(name if hidden is None else hidden)
                if hidden is None and name not in closed and name not in directories:
                    leaves[name] = checksum
            for name, below in layer.directories.items():
                if name not in closed:
                    directories.setdefault(name, []).append(below)
            closed |= ended
        return leaves, directories
