"""Compute what a device fetches to upgrade from one commit to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.render.table import several, size
from importer.repo.reachable import commit_objects, storage_size

if TYPE_CHECKING:
    from importer.repo.values import Commit
    from importer.repo.writer import Repo


@dataclass(frozen=True, slots=True)
class Fetch:
    """The objects that the new commit has and the old one has not, and their bytes in this repo.

    In an archive repo those are the bytes that a pull over HTTP fetches without a static
    delta; in a bare one the files are not compressed, so a pull fetches less.
    """

    objects: int
    files: int
    size: int
    archive: bool

    def __str__(self) -> str:
        counted = "compressed" if self.archive else "not compressed"
        objects = f"{several(self.objects, 'object')}, {several(self.files, 'file')}"
        return f"{size(self.size)} ({counted}): {objects}"

    def document(self) -> dict[str, int | bool]:
        """Return the fetch for JSON."""
        return {
            "objects": self.objects,
            "files": self.files,
            "bytes": self.size,
            "compressed": self.archive,
        }


def fetch_cost(repo: Repo, old: Commit | None, new: Commit) -> Fetch:
    """Return what a device with the old commit fetches for the new one.

    The old commit's parents count for nothing, since a device need not have them.
    """
    objects = commit_objects(repo, new)
    if old is not None:
        objects -= commit_objects(repo, old)
    files = sum(kind == "file" for kind, _ in objects)
    return Fetch(len(objects), files, storage_size(repo, objects), repo.mode == "archive")
