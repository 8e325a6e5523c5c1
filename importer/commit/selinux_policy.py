"""An operating system's SELinux policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.repo.libostree import Gio, OSTree, faults

if TYPE_CHECKING:
    from importer.repo.values import Commit
    from importer.repo.writer import Repo


class Policy:
    """An SELinux policy, which labels files by their paths."""

    def __init__(self, policy: OSTree.SePolicy, where: str) -> None:
        if policy.get_name() is None:
            raise ImporterError(
                f"{where} has no SELinux policy",
                hint="--selinux-policy takes the root directory of an operating system",
            )
        self._policy = policy

    @classmethod
    def of_directory(cls, root: str) -> Policy:
        """Open the policy of the operating system with this root directory."""
        with faults(f"reading the SELinux policy of {root}"):
            return cls(OSTree.SePolicy.new(Gio.File.new_for_path(root), None), root)

    @classmethod
    def of_commit(cls, repo: Repo, commit: Commit) -> Policy:
        """Open the policy of an operating system's commit."""
        with faults(f"reading the SELinux policy of commit {commit.checksum}"):
            policy = OSTree.SePolicy.new_from_commit(repo.handle, commit.checksum, None)
        return cls(policy, f"commit {commit.checksum}")

    def label(self, path: str, mode: int) -> str | None:
        """Return the label of a file at this absolute path, None if the policy has none.

        `mode` includes the file type.
        """
        with faults(f"looking up the SELinux label of {path}"):
            _, label = self._policy.get_label(path, mode, None)
        return str(label) if label is not None else None
