"""Count the paths of a stored tree without visiting each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from importer.errors import ImporterError
from layers.limits import Limits

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory

# A tree has many paths if many directories are alike, as copies of a library are. A commit from
# elsewhere can name one directory a million times with a few bytes. No import makes a layer of more
# entries, unless it is told to.
_MANY = Limits().entries
_TIMES = 20


class Breadth(NamedTuple):
    """The entries of a directory, and the paths below it."""

    entries: int
    paths: int


def check_breadth(root: RepoDirectory, what: str) -> None:
    """Raise ImporterError, naming `what`, for a tree of few entries with so many paths that it
    would take forever to visit them."""
    counts = count_paths(root)
    paths, entries = counts[root.contents].paths, sum(one.entries for one in counts.values())
    if paths > _MANY and paths > _TIMES * entries:
        raise ImporterError(
            f"{what} has {paths} paths, made of {len(counts)} directories with {entries} entries",
            hint="it would take forever to visit them: the commit was made as a trap",
        )


def count_paths(root: RepoDirectory) -> dict[str, Breadth]:
    """Return the breadth of each directory, by the checksum of its contents. Each directory is
    read once, however many paths lead to it."""
    counts: dict[str, Breadth] = {}
    work = [root]
    while work:
        directory = work[-1]
        if directory.contents in counts:
            work.pop()
            continue
        below = directory.directories.values()
        unknown = [child for child in below if child.contents not in counts]
        if unknown:
            work += unknown
            continue
        entries = len(directory.leaves) + len(below)
        paths = entries + sum(counts[child.contents].paths for child in below)
        counts[directory.contents] = Breadth(entries, paths)
    return counts
