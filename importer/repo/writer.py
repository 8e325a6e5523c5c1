"""An ostree repo: what can be read, written, locked and deleted, each in a file of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.presence import is_directory, is_present
from importer.repo.libostree import Gio, OSTree, faults
from importer.repo.lock import RepoLock
from importer.repo.maintenance import Maintenance
from importer.repo.transaction import Transactions

if TYPE_CHECKING:
    from pathlib import Path

# libostree can read bare-split-xattrs repos, but not write to them.
_WRITABLE_MODES = ("archive", "bare", "bare-user", "bare-user-only")


class Repo(Transactions, RepoLock, Maintenance):
    """An ostree repo. One instance holds one transaction at a time; `again` opens another."""

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Repo:
        """Open the repo at `path`. If `create` and nothing is there, make one in bare-user mode."""
        repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
        if create and cls.is_absent(path):
            with faults(f"creating repo {path}"):
                path.mkdir(parents=True, exist_ok=True)
                repo.create(OSTree.RepoMode.BARE_USER, None)
        with faults(f"opening repo {path}"):
            repo.open(None)
        return cls(path, repo)

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
        """Raise ImporterError if this user cannot write to the repo, or not what images hold."""
        with faults(f"repo {self.path}"):
            self.handle.is_writable()
        if self.mode not in _WRITABLE_MODES:
            raise ImporterError(f"repos of mode {self.mode} cannot be written to")
        if self.mode == "bare" and os.geteuid() != 0:
            raise ImporterError(
                f"{self.path} is a bare repo, which holds files with their real owners",
                hint="run as root, or use a bare-user or archive repo",
            )
