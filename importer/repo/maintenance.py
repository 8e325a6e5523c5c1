"""Delete refs, commits, and the objects that no ref needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.repo.libostree import OSTree, faults
from importer.repo.reader import RepoReader

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many objects the repo had, how many of them are gone, and their size in bytes."""

    total: int
    objects: int
    size: int


class Maintenance(RepoReader):
    """A repo from which refs, commits and objects are deleted; the caller holds the lock
    exclusively."""

    def prune(self) -> Pruned:
        """Delete every object that no commit needs, and static deltas of commits that are gone."""
        with faults("deleting what no commit needs"):
            _, total, count, size = self.handle.prune(OSTree.RepoPruneFlags.NONE, 0, None)
        return Pruned(total, count, size)

    def delete_commit(self, checksum: str) -> None:
        """Delete the object of a commit that no ref needs; a later prune deletes its files."""
        with faults(f"deleting commit {checksum}"):
            self.handle.delete_object(OSTree.ObjectType.COMMIT, checksum, None)

    def delete_refs(self, refs: Sequence[str]) -> None:
        """Delete the refs, which is durable on return; their commits stay until a prune."""
        for ref in refs:
            with faults(f"deleting ref {ref}"):
                self.handle.set_ref_immediate(None, ref, None, None)
        if refs:
            self.sync()
