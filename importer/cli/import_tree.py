"""The command import-tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from importer.cli.options.declare import Given, command
from importer.cli.options.labels import Signing
from importer.cli.options.output import Document, Messages, Unchanged
from importer.cli.options.result import NewRepo
from importer.cli.options.tree import Changes, OntoSystem, Opaque, TreeCommit, TreeLabels, Trees
from importer.cli.run_import import end_job
from importer.cli.targets import signing

if TYPE_CHECKING:
    from importer.tree.job import TreeJob
    from layers.ondisk.commit_filter import CommitOptions


@command(
    "import-tree",
    Trees,
    Changes,
    NewRepo,
    TreeCommit,
    OntoSystem,
    TreeLabels,
    Signing,
    Messages,
    Document,
    Unchanged,
)
def import_tree(given: Given) -> None:
    """Commit directory trees that have whiteouts to an ostree repo.

    Does what `ostree commit --tree=dir=ROOT` does, and faster. In addition, whiteouts become
    .ostree-wh.NAME, which ostree turns into whiteouts when it deploys the commit, and opaque
    directories of Docker's and podman's layers become whiteouts. Several ROOTs are laid over
    each other in their order.
    """
    from importer.tree.import_tree import import_tree as commit_trees

    end_job(given, lambda: _job(given), commit_trees)


def _job(given: Given) -> TreeJob:
    from importer.tree.job import TreeJob

    trees, commit, labels = given(Trees), given(TreeCommit), given(TreeLabels)
    return TreeJob(
        repo=given(NewRepo).repo,
        branch=commit.branch,
        roots=trees.roots,
        onto=_onto(given),
        prefix=commit.tree_prefix,
        options=_options(given(Changes)),
        device_nodes=trees.device_nodes,
        keep_opaque=trees.opaque is Opaque.KEEP,
        selinux_policy=labels.selinux_policy_dir,
        policy_from_base=labels.selinux_policy_from_base,
        subject=commit.subject or "",
        timestamp=commit.timestamp,
        signing=signing(given(Signing)),
        jobs=commit.jobs,
        cache=not commit.no_cache,
    )


def _onto(given: Given) -> str | None:
    onto = given(OntoSystem).onto
    if onto is not None and onto == given(TreeCommit).branch:
        raise click.UsageError(
            "--branch has to be another branch than --onto, which stays as it is"
        )
    return onto


def _options(changes: Changes) -> CommitOptions:
    """Return the changes to files; LayerError or ImporterError for a list that is no such file."""
    from importer.tree.path_files import read_skip_list, read_statoverride
    from layers.ondisk.commit_filter import CommitOptions

    if changes.canonical_permissions and (changes.owner_uid or changes.owner_gid):
        raise click.UsageError("--canonical-permissions gives all files the owner 0:0")
    return CommitOptions(
        owner_uid=changes.owner_uid,
        owner_gid=changes.owner_gid,
        canonical_permissions=changes.canonical_permissions,
        no_xattrs=changes.no_xattrs,
        statoverride=read_statoverride(changes.statoverride),
        skip_list=read_skip_list(changes.skip_list),
    )
