"""Count the entries of stored trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.whiteout import unquoted

if TYPE_CHECKING:
    from layers.tree.lower import StoredDirectory


class EntryCount:
    """Counts files, symlinks and directories. Trees that share directories are read once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, root: StoredDirectory) -> int:
        """Return the number of entries below a directory, without quoted whiteouts."""
        work = [root]
        while work:
            directory = work[-1]
            below = directory.directories.values()
            unknown = [one for one in below if one.contents not in self._known]
            if unknown and directory.contents not in self._known:
                work.extend(unknown)
                continue
            work.pop()
            own = sum(unquoted(name) is None for name in directory.leaves)
            deeper = sum(1 + self._known[one.contents] for one in below)
            self._known[directory.contents] = own + deeper
        return self._known[root.contents]
