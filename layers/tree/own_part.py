"""A cut layer's own part: what its tree has and the layers below do not, and what it lacks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from layers.tree.lower import StoredDirectory
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.tree.lower import Lower


class OwnPart:
    """A directory of the layer as it would be with whiteouts; a `layers.tree.lower.TreeDirectory`.

    A file that the layer has just as a layer below has it is not part of it: a tree cannot tell
    whether the layer brought the file again. Whiteouts have no checksum.
    """

    def __init__(self, cut: StoredDirectory, below: Lower | None) -> None:
        self._cut = cut
        self._below = below

    @property
    def meta(self) -> str:
        """The checksum of its dirmeta object."""
        return self._cut.meta

    @cached_property
    def leaves(self) -> Mapping[bytes, str]:
        """The names of the layer's files and symlinks, with their checksums, and its whiteouts."""
        cut, below = self._cut, self._below
        if below is None:
            return cut.leaves
        found = {name: one for name, one in cut.leaves.items() if below.leaf(name) != one}
        hidden = below.names - cut.leaves.keys() - cut.directories.keys()
        return found | {quoted(name): "" for name in hidden}

    @cached_property
    def directories(self) -> Mapping[bytes, OwnPart]:
        """The sub-directories with anything that differs."""
        below = self._below
        found = {
            name: OwnPart(one, below.directory(name) if below is not None else None)
            for name, one in self._cut.directories.items()
        }
        return {name: part for name, part in found.items() if part.differs}

    @cached_property
    def differs(self) -> bool:
        """Whether the directory, or anything in it, is the layer's own."""
        below = self._below
        if below is None or below.meta != self.meta:
            return True
        only = below.only
        if isinstance(only, StoredDirectory) and only.contents == self._cut.contents:
            return False
        return bool(self.leaves or self.directories)
