"""The lock of a repo: writers hold it shared, deletion holds it exclusively."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.repo.libostree import OSTree, faults
from importer.repo.reader import RepoReader

if TYPE_CHECKING:
    from collections.abc import Iterator


class RepoLock(RepoReader):
    """A repo that can be locked."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock shared, which keeps `ostree prune` out.

        Objects that one transaction has written and a later one will refer to belong to no ref in
        between: without the lock, a prune could delete them.
        """
        with faults(f"locking repo {self.path}"):
            self.handle.lock_push(OSTree.RepoLockType.SHARED, None)
        try:
            yield
        finally:
            self.handle.lock_pop(OSTree.RepoLockType.SHARED, None)

    @contextmanager
    def locked_alone(self) -> Iterator[None]:
        """Hold the lock exclusively: no other process writes.

        Wait for imports that are under way, as long as the repo's lock-timeout-secs say (see
        ostree.repo-config(5)). Raise ImporterError after that.
        """
        try:
            with faults(f"locking repo {self.path} exclusively"):
                self.handle.lock_push(OSTree.RepoLockType.EXCLUSIVE, None)
        except ImporterError as error:
            hint = "an import or another program uses the repo; try again when it is done"
            raise error.within(hint=hint) from None
        try:
            yield
        finally:
            self.handle.lock_pop(OSTree.RepoLockType.EXCLUSIVE, None)
