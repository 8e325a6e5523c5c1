"""What the layers below show at a directory: overlayfs's merge, read lazily.

Source: the kernel's Documentation/filesystems/overlayfs.rst, "Whiteouts and opaque
directories". The layers read here are ours, so they hold quoted whiteouts and nothing
opaque.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from layers.whiteout import unquoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from layers.path import Path


class TreeDirectory(Protocol):
    """One layer's directory, as stored."""

    @property
    def meta(self) -> str:
        """The checksum of its dirmeta object."""

    @property
    def leaves(self) -> Mapping[bytes, str]:
        """Names of files and symlinks, with their objects' checksums."""

    @property
    def directories(self) -> Mapping[bytes, TreeDirectory]:
        """Its sub-directories."""


def find_leaf(root: TreeDirectory, path: Path) -> str | None:
    """Return the checksum of the file or symlink at a path below `root`, or None."""
    node: TreeDirectory | None = root
    for name in path[:-1]:
        node = node.directories.get(name) if node else None
    return node.leaves.get(path[-1]) if node and path else None


class Lower:
    """A directory as seen through a stack of layers, nearest first; at least one layer has it."""

    def __init__(self, stack: Sequence[TreeDirectory]) -> None:
        self._stack = tuple(stack)

    @property
    def meta(self) -> str:
        """The visible dirmeta: the nearest layer's."""
        return self._stack[0].meta

    @cached_property
    def names(self) -> frozenset[bytes]:
        """All that is visible here."""
        return frozenset(self._leaves) | frozenset(self._directories)

    @property
    def only(self) -> TreeDirectory | None:
        """The layer's own directory, where no other layer has a part in it."""
        return self._stack[0] if len(self._stack) == 1 else None

    @property
    def leaves(self) -> Mapping[bytes, str]:
        """The visible files and symlinks, with their objects' checksums."""
        return self._leaves

    @cached_property
    def directories(self) -> Mapping[bytes, Lower]:
        """The visible sub-directories; each is merged once."""
        return {name: Lower(stack) for name, stack in self._directories.items()}

    @property
    def stack(self) -> Sequence[TreeDirectory]:
        """What is merged here, nearest first."""
        return self._stack

    def directory(self, name: bytes) -> Lower | None:
        """The visible sub-directory of this name."""
        return self.directories.get(name)

    def leaf(self, name: bytes) -> str | None:
        """The checksum of the visible file or symlink of this name."""
        return self._leaves.get(name)

    def find_leaf(self, path: Path) -> str | None:
        """Return the checksum of the visible file or symlink at a path below this directory."""
        return find_leaf(self, path)

    @property
    def _leaves(self) -> Mapping[bytes, str]:
        return self._merged[0]

    @property
    def _directories(self) -> Mapping[bytes, list[TreeDirectory]]:
        return self._merged[1]

    @cached_property
    def _merged(self) -> tuple[dict[bytes, str], dict[bytes, list[TreeDirectory]]]:
        """The nearest layer with a name decides; directories go on merging until one does not."""
        leaves: dict[bytes, str] = {}
        directories: dict[bytes, list[TreeDirectory]] = {}
        closed: set[bytes] = set()
        for layer in self._stack:
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
