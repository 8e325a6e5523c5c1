"""Read what the layers below show at a directory: overlayfs's merge, computed lazily.

Source: the kernel's Documentation/filesystems/overlayfs.rst, "Whiteouts and opaque directories".
Our layers have quoted whiteouts and nothing opaque.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from layers.whiteout import quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from layers.path import Path


class TreeDirectory(Protocol):
    """A stored directory of one layer."""

    @property
    def meta(self) -> str:
        """Return the checksum of its dirmeta object."""

    @property
    def leaves(self) -> Mapping[bytes, str]:
        """Return its files and symlinks by name, with their objects' checksums."""

    @property
    def directories(self) -> Mapping[bytes, TreeDirectory]:
        """Return the directory's sub-directories by name."""


@runtime_checkable
class StoredDirectory(TreeDirectory, Protocol):
    """A directory that ostree has; `contents` is its dirtree's checksum."""

    @property
    def contents(self) -> str:
        """Return the checksum of its dirtree object, which decides on the directory's content."""

    @property
    def directories(self) -> Mapping[bytes, StoredDirectory]:
        """Return the directory's sub-directories by name."""


class Nested(Protocol):
    """Anything with sub-directories of its own kind."""

    @property
    def directories(self) -> Mapping[bytes, Self]:
        """Return the sub-directories by name."""


def each_directory[D: Nested](root: D, top: Path = ()) -> Iterator[tuple[Path, D]]:
    """Yield a directory and all below it with their paths, in the order of a tar: parents first, by
    name. `top` is the root's own path."""
    work = [(top, root)]
    while work:
        path, directory = work.pop()
        yield path, directory
        below = sorted(directory.directories, reverse=True)
        work += [((*path, name), directory.directories[name]) for name in below]


def find_leaf(root: TreeDirectory, path: Path) -> str | None:
    """Return the checksum of the file or symlink at a path below `root`, or None."""
    node: TreeDirectory | None = root
    for name in path[:-1]:
        node = node.directories.get(name) if node else None
    return node.leaves.get(path[-1]) if node and path else None


class Lower:
    """A directory as seen through a stack of layers, nearest first. At least one layer has it.

    A stack is a layer on top of another stack, and shares the answers that the lower one has
    found, so that closing an image's layers takes a time that grows with their entries, and not
    with the number of layers.
    """

    def __init__(self, nearest: TreeDirectory, below: Lower | None = None) -> None:
        self._nearest = nearest
        self._below = below
        self._names: frozenset[bytes] | None = None
        self._subdirectories: dict[bytes, Lower | None] = {}

    @classmethod
    def of(cls, stack: Sequence[TreeDirectory]) -> Lower:
        """Return the merged view of these directories, nearest first, at least one."""
        nearest, *others = stack
        below: Lower | None = None
        for layer in reversed(others):
            below = cls(layer, below)
        return cls(nearest, below)

    @property
    def meta(self) -> str:
        """Return the checksum of the visible dirmeta: the nearest layer's."""
        return self._nearest.meta

    @property
    def only(self) -> TreeDirectory | None:
        """Return the layer's own directory if no layer is below, else None."""
        return self._nearest if self._below is None else None

    @property
    def stack(self) -> Sequence[TreeDirectory]:
        """Return the layers' own directories, nearest first."""
        return [view._nearest for view in self._chain()]

    @property
    def names(self) -> frozenset[bytes]:
        """Return all visible names."""
        work: list[Lower] = []
        visible: set[bytes] = set()
        for view in self._chain():
            if view._names is not None:
                visible = set(view._names)
                break
            work.append(view)
        for view in reversed(work):
            view._add_to(visible)
        self._names = frozenset(visible)
        return self._names

    def _add_to(self, visible: set[bytes]) -> None:
        """Change the names that are visible below into the names that are visible here."""
        for name in self._nearest.leaves:
            hidden = unquoted(name)
            if hidden is None:
                visible.add(name)
            else:
                visible.discard(hidden)
        visible.update(self._nearest.directories)

    def shows(self, name: bytes) -> bool:
        """Return whether anything of this name is visible."""
        for view in self._chain():
            if name in view._nearest.directories or name in view._nearest.leaves:
                return unquoted(name) is None
            if quoted(name) in view._nearest.leaves:
                return False
        return False

    def leaf(self, name: bytes) -> str | None:
        """Return the checksum of the visible file or symlink of this name, or None."""
        for view in self._chain():
            if name in view._nearest.leaves:
                return view._nearest.leaves[name] if unquoted(name) is None else None
            if name in view._nearest.directories or quoted(name) in view._nearest.leaves:
                return None
        return None

    def directory(self, name: bytes) -> Lower | None:
        """Return the visible sub-directory of this name, or None. A layer without the name shares
        the sub-directory of the layers below."""
        work: list[Lower] = []
        below: Lower | None = None
        for view in self._chain():
            if name in view._subdirectories:
                below = view._subdirectories[name]
                break
            work.append(view)
            if name in view._nearest.leaves or quoted(name) in view._nearest.leaves:
                break  # nothing below shows
        for view in reversed(work):
            own = view._nearest.directories.get(name)
            if own is not None:
                below = Lower(own, below)
            view._subdirectories[name] = below
        return below

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
        """Return the visible files and symlinks, with their objects' checksums."""
        return self._merged[0]

    @cached_property
    def directories(self) -> Mapping[bytes, Lower]:
        """Return the visible sub-directories by name."""
        return {name: Lower.of(stack) for name, stack in self._merged[1].items()}

    def _chain(self) -> Iterator[Lower]:
        view: Lower | None = self
        while view is not None:
            yield view
            view = view._below

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


class EntryCount:
    """Count files, symlinks and directories. Directories that trees share are read once.

    `below` has the number of paths below each directory, by the checksum of its contents; `entries`
    is the number of entries of all these directories.
    """

    def __init__(self, *, whiteouts: bool = False) -> None:
        """Count quoted whiteouts, too, if `whiteouts`."""
        self._whiteouts = whiteouts
        self.below: dict[str, int] = {}
        self.entries = 0

    def of(self, root: StoredDirectory) -> int:
        """Return the number of paths below a directory."""
        work = [root]
        while work:
            directory = work[-1]
            directories = directory.directories.values()
            uncounted = [child for child in directories if child.contents not in self.below]
            if uncounted and directory.contents not in self.below:
                work.extend(uncounted)
                continue
            work.pop()
            if directory.contents not in self.below:
                entries = self._leaves(directory) + len(directories)
                self.entries += entries
                deeper = sum(self.below[child.contents] for child in directories)
                self.below[directory.contents] = entries + deeper
        return self.below[root.contents]

    def _leaves(self, directory: StoredDirectory) -> int:
        if self._whiteouts:
            return len(directory.leaves)
        return sum(unquoted(name) is None for name in directory.leaves)
