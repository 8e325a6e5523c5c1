"""Count the paths of a stored tree without visiting each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.limits import Limits

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory

# A tree has many paths if many directories are alike, as copies of a library are. A commit from
# elsewhere can name one directory a million times with a few bytes. No import makes a layer of more
# entries, unless it is told to.
_MANY = Limits().entries
_TIMES = 100


def check_breadth(root: RepoDirectory, what: str) -> None:
    """Raise ImporterError, naming `what`, for a tree of few directories with so many paths that it
    would take forever to visit them."""
    paths = count_paths(root)
    if paths[root.contents] > _MANY and paths[root.contents] > _TIMES * len(paths):
        raise ImporterError(
            f"{what} has {paths[root.contents]} paths, made of {len(paths)} directories",
            hint="it would take forever to visit them: the commit was made as a trap",
        )


def count_paths(root: RepoDirectory) -> dict[str, int]:
    """Return the number of paths below each directory, by the checksum of its contents. Each
    directory is read once, however many paths lead to it."""
    counts: dict[str, int] = {}
    work = [root]
    while work:
        directory = work[-1]
        below = directory.directories.values()
        unknown = [child for child in below if child.contents not in counts]
        if unknown and directory.contents not in counts:
            work += unknown
            continue
        work.pop()
        counts[directory.contents] = len(directory.leaves) + sum(
            1 + counts[child.contents] for child in below
        )
    return counts
