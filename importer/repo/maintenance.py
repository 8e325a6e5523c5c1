"""Delete refs, commits, and the objects that no ref needs."""

from __future__ import annotations

from dataclasses import dataclass

from importer.repo.libostree import OSTree, faults
from importer.repo.reader import RepoReader


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many objects the repo had, how many of them are gone, and their size in bytes."""

    total: int
    objects: int
    size: int


class Maintenance(RepoReader):
    """A repo from which refs, commits and objects are deleted; the caller holds the lock
    exclusively."""

    def prune(self, keep: int | None) -> Pruned:
        """Delete every object that no ref needs.

        Of each ref's ancestors, `keep` commits stay, the head being the first; None keeps all.
        Static deltas of commits that are gone are deleted as well.
        """
        depth = -1 if keep is None else keep - 1
        with faults("deleting what no ref needs"):
            _, total, count, size = self.handle.prune(OSTree.RepoPruneFlags.REFS_ONLY, depth, None)
        return Pruned(total, count, size)

    def delete_commit(self, checksum: str) -> None:
        """Delete the object of a commit that no ref needs; a later prune deletes its files."""
        with faults(f"deleting commit {checksum}"):
            self.handle.delete_object(OSTree.ObjectType.COMMIT, checksum, None)

    def delete_ref(self, ref: str) -> None:
        """Delete the ref at once; its commit stays until a prune."""
        with faults(f"deleting ref {ref}"):
            self.handle.set_ref_immediate(None, ref, None, None)
