"""Check a target before the first image is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.base_tree import BaseTree, find_base
from importer.commit.contents import kept_store
from importer.commit.selinux import Labels
from importer.store.writer import check_records

if TYPE_CHECKING:
    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.writer import Repo


def check_target(target: Target, repo: Repo, onto: str | None, branch: str) -> Base | None:
    """Return the commit of the operating system that the store goes into, None without `onto`.

    Raise ImporterError for faults that do not depend on the images: a base, a policy or a
    configuration that cannot be read, a base with a store or a file in the way. The repo is only
    read.
    """
    base = find_base(repo, onto, branch)
    if base is None and target.labelling.policy is None:
        return None
    Labels.wanted(repo, target.labelling, base)
    tree = BaseTree(repo, base)
    tree.check_directory(target.prefix)
    present = kept_store(target, tree.before(target.prefix))
    if target.flatten:  # else the base's own store is converted; see `importer.commit.whiteouts`
        tree.check_whiteouts(present)
    if present is not None:
        check_records(present)
    if target.storage_conf:
        from importer.commit.storage_conf import storage_conf

        storage_conf(tree, target.prefix)
    if target.crio_conf:
        from importer.commit.crio_conf import made_crio_conf

        repair = target.crio_internal_repair
        made_crio_conf(tree, (), internal_repair=repair)
    return base
