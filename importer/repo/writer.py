"""An ostree repo: read, written in transactions, locked, and cleared of what no branch needs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.presence import is_directory, is_present
from importer.repo.libostree import Gio, OSTree, faults
from importer.repo.transaction import Transactions
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

# Seconds to wait for the lock before the user is told that another program holds it.
_PATIENCE = 0.3
# libostree can read bare-split-xattrs repos, but not write to them.
_WRITABLE_MODES = ("archive", "bare", "bare-user", "bare-user-only")


@frozen
class Pruned:
    """How many objects the repo had, how many of them are gone, and their size in bytes."""

    total: int
    objects: int
    size: int


class Repo(Transactions):
    """An ostree repo. One instance holds one transaction at a time; `again` opens another."""

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Repo:
        """Open the repo at `path`. If `create` and nothing is there, make one in bare-user mode."""
        if create and cls.is_absent(path):
            with faults(f"creating repo {path}"):
                path.mkdir(parents=True, exist_ok=True)
                repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
                repo.create(OSTree.RepoMode.BARE_USER, None)
        return cls(path)

    @staticmethod
    def is_absent(path: Path) -> bool:
        """Return whether there is no repo at `path` yet, but the place for one: nothing, an empty
        directory, or a repo whose creation was cut off.

        libostree makes the config first and `objects` last; `create` makes what is missing.
        """
        with faults(f"opening repo {path}"):
            begun = [entry.name for entry in path.iterdir()] if is_directory(path) else []
            absent = not begun if is_present(path) else True
        return absent or ("config" in begun and "objects" not in begun)

    def again(self) -> Repo:
        """Open the same repo again, for a transaction of its own."""
        return Repo.open(self.path)

    def check_writable(self) -> None:
        """Raise ImporterError if this user cannot write to the repo, or not files of any owner."""
        if self._plain is None or not self._plain.is_writable():
            with faults(f"repo {self.path}"):
                self.handle.is_writable()
        if self.mode not in _WRITABLE_MODES:
            raise ImporterError(f"repos of mode {self.mode} cannot be written to")
        if self.mode == "bare" and os.geteuid() != 0:
            raise ImporterError(
                f"{self.path} is a bare repo, which holds files with their real owners",
                hint="run as root, or use a bare-user or archive repo",
            )

    def check_holds_images(self) -> None:
        """Raise ImporterError if the repo cannot hold the owners and modes that images have."""
        if self.mode == "bare-user-only":
            raise ImporterError(
                f"{self.path} is a bare-user-only repo, which holds no owners, setuid bits or"
                " xattrs",
                hint="images have them; use a bare-user or archive repo",
            )

    # --- locks: writers hold the repo shared, deletion holds it exclusively ---

    @contextmanager
    def locked_alone(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the lock exclusively: no other process writes.

        Wait for imports that are under way, as long as the repo's lock-timeout-secs say (see
        ostree.repo-config(5)). Raise ImporterError after that. If there is one to wait for, call
        `on_wait`, in a thread.
        """
        waiting = Timer(_PATIENCE, on_wait)
        waiting.start()
        try:
            with faults(f"locking repo {self.path} exclusively"):
                self.handle.lock_push(OSTree.RepoLockType.EXCLUSIVE, None)
        finally:
            waiting.cancel()
        try:
            yield
        finally:
            self.handle.lock_pop(OSTree.RepoLockType.EXCLUSIVE, None)

    # --- deletion; the caller holds the lock exclusively ---

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
