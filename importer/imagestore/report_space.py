"""Measure a layer's directories, for a picture of the larger ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from layers.errors import printable
from layers.whiteout import unquoted
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layers.tree.lower import TreeDirectory

# No picture shows more: what is smaller than this share of its layer becomes "others".
_SMALLEST = 1 / 400
_MOST_CHILDREN = 24
_DEEPEST = 12


@dataclass(slots=True)
class Space:
    """A file or directory, with the bytes of the file contents in it and the number of files."""

    name: str
    size: int = 0
    files: int = 0
    children: list[Space] = field(default_factory=list)

    def pruned(self, smallest: float, depth: int = 0) -> list[Any]:
        """Return [name, size, files, children] for JSON, the largest child first."""
        ordered = sorted(self.children, key=lambda child: (-child.size, child.name))
        if depth >= _DEEPEST:
            ordered = []
        shown = [child for child in ordered[:_MOST_CHILDREN] if child.size >= smallest]
        nodes = [child.pruned(smallest, depth + 1) for child in shown]
        rest = ordered[len(shown) :]
        size, files = sum(child.size for child in rest), sum(child.files for child in rest)
        if size and nodes:
            nodes.append([several(len(rest), "other"), size, files, []])
        return [self.name, self.size, self.files, nodes]

    def directories(self, path: str = "") -> Iterator[tuple[str, Space]]:
        """Yield every directory below this one with its path."""
        work = [(path, self)]
        while work:
            here, node = work.pop()
            for child in node.children:
                if child.children:
                    place = f"{here}/{child.name}"
                    yield place, child
                    work.append((place, child))


def space_of(root: TreeDirectory, size_of: Callable[[str], int]) -> Space:
    """Measure a layer's tree, without whiteouts. `size_of` returns bytes by a file's checksum."""
    top = Space("")
    order: list[Space] = [top]
    work = [(root, top)]
    while work:
        directory, space = work.pop()
        for name, checksum in directory.leaves.items():
            if unquoted(name) is None:
                space.children.append(Space(printable(name), size_of(checksum), 1))
        for name, below in directory.directories.items():
            child = Space(printable(name))
            space.children.append(child)
            order.append(child)
            work.append((below, child))
    for space in reversed(order):  # children were made after their parents
        space.size = sum(child.size for child in space.children)
        space.files = sum(child.files for child in space.children)
    return top


def smallest_of(space: Space) -> float:
    """Return the smallest size, in bytes, that the picture of a layer shows."""
    return max(1.0, space.size * _SMALLEST)
