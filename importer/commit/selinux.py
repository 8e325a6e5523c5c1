"""SELinux labels of the files that we add; images' files have none of their own.

Without a label a file is `unlabeled_t`, which no container may read. Which label a store's
files need: docs/how-to/selinux.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.repo.libostree import Gio, OSTree, faults
from layers.entry import labelled_owner
from layers.frozen import frozen

if TYPE_CHECKING:
    from importer.commit.target import Labelling
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.entry import Owner

# What container-selinux labels podman's own layers with, which containers may read and execute.
STORE_LABEL = "system_u:object_r:container_ro_file_t:s0"
# A policy has no rule for a store elsewhere, so it is asked about podman's own, as after
# `semanage fcontext -a -e /var/lib/containers/storage DIR`.
_OWN_STORE = "/var/lib/containers/storage/overlay"
_DIRECTORY = 0o040755
_OWN_POLICY = "base"


@frozen
class Labels:
    """`store` is the label of all files of a store; `policy` knows those of other paths."""

    store: str | None = None
    policy: Policy | None = None

    @classmethod
    def wanted(cls, repo: Repo, labelling: Labelling, base: Base | None) -> Labels:
        """Return the labels that the user asks for, else those of the base commit's files."""
        is_labelled = base is not None and repo.is_labelled(base.commit)
        policy = _policy(repo, labelling.policy or (_OWN_POLICY if is_labelled else None), base)
        if labelling.label is not None:
            return cls(labelling.label, policy)
        if labelling.policy is not None and policy is not None:
            return cls(policy.label(_OWN_STORE, _DIRECTORY), policy)
        return cls(STORE_LABEL if is_labelled else None, policy)

    def at(self, path: str, owner: Owner, kind: int) -> Owner:
        """Return the owner, labelled, of a file at an absolute path outside of the store.

        `kind` is the file type, as in a mode.
        """
        if self.policy is None:
            return owner
        return labelled_owner(owner, self.policy.label(path, kind | owner.mode))


def _policy(repo: Repo, where: str | None, base: Base | None) -> Policy | None:
    if where is None:
        return None
    if where != _OWN_POLICY:
        return Policy.of_directory(where)
    if base is None:
        raise ImporterError("there is no base commit to take the policy from", hint="see --onto")
    return Policy.of_commit(repo, base.commit)


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
