"""The command import-tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from importer.cli.finish import end_work
from importer.cli.options.given import Given, command, subcommand
from importer.cli.options.output import Output, Rehearsal, Unchanged
from importer.cli.options.result import CommitMessage
from importer.cli.options.rules import check_other_branch
from importer.cli.options.system import SelinuxPolicy, Signing, System
from importer.cli.options.tree import (
    Opaque,
    TranslateArguments,
    TreeArguments,
    TreeCommit,
    TreeRules,
)
from importer.cli.options.work import Jobs

if TYPE_CHECKING:
    from importer.tree.import_tree import TreeJob
    from importer.tree.in_place import InPlaceJob
    from layers.ondisk.commit_filter import CommitOptions

_EXAMPLES = """
# An operating system's tree that has an unpacked Docker store in it:
import-tree --repo /srv/repo --branch os/device /srv/root

# A Docker store, put into an operating system that is in the repo:
import-tree --repo /srv/repo --branch os/device --onto os/base \\
    --prefix /usr/lib/docker /var/lib/docker

# Two trees, the second over the first, owned by root:
import-tree --repo /srv/repo --branch os/device \\
    --owner-uid 0 --owner-gid 0 /srv/base /srv/apps
"""


@command(
    "import-tree",
    TreeArguments,
    TreeRules,
    TreeCommit,
    CommitMessage,
    System,
    SelinuxPolicy,
    Signing,
    Jobs,
    Output,
    Unchanged,
    examples=_EXAMPLES,
)
def import_tree(given: Given) -> None:
    """Commit directory trees that have whiteouts to an ostree repo.

    Does what `ostree commit --tree=dir=ROOT` does, and faster. In addition, whiteouts become
    .ostree-wh.NAME, which ostree turns into whiteouts when it deploys the commit, and opaque
    directories of Docker's and podman's layers become whiteouts. Several ROOTs are laid over
    each other in their order.

    `import-tree translate` changes a tree on the disk instead. A ROOT of the name translate is
    written ./translate.
    """
    from importer.tree.import_tree import import_tree as commit_trees

    end_work(given, lambda progress: commit_trees(_job(given), progress))


def _job(given: Given) -> TreeJob:
    from importer.tree.import_tree import TreeJob

    rules, commit, policy = given(TreeRules), given(TreeCommit), given(SelinuxPolicy).selinux_policy
    onto, message = given(System).onto, given(CommitMessage)
    check_other_branch(commit.branch, onto)
    return TreeJob(
        repo=commit.repo,
        branch=commit.branch,
        roots=given(TreeArguments).roots,
        onto=onto,
        prefix=commit.tree_prefix or "/",
        options=_options(given(TreeArguments)),
        device_nodes=rules.device_nodes,
        keep_opaque=rules.opaque is Opaque.KEEP,
        selinux_policy=None if policy in (None, "base") else Path(policy),
        policy_from_base=policy == "base",
        subject=message.subject or "",
        timestamp=message.timestamp,
        signing=given(Signing).keys,
        jobs=given(Jobs).count,
        cache=not given(TreeArguments).no_cache,
        max_size=given(TreeArguments).max_size,
    )


def _options(changes: TreeArguments) -> CommitOptions:
    """Return the changes to files. Raise LayerError or ImporterError if the file of --statoverride
    or --skip-list cannot be read."""
    from importer.tree.import_tree import read_skip_list, read_statoverride
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


_TRANSLATE_EXAMPLES = """
# Translate a tree, and have ostree commit it:
import-tree translate /srv/root
ostree commit --repo=/srv/repo --branch=os/device --tree=dir=/srv/root

# Take the translation back:
import-tree translate --undo /srv/root
"""


@subcommand(
    "translate",
    TranslateArguments,
    TreeRules,
    Output,
    Rehearsal,
    Unchanged,
    examples=_TRANSLATE_EXAMPLES,
)
def translate(given: Given) -> None:
    """Translate the whiteouts of a tree on the disk, for other programs to commit.

    Makes the changes in ROOT that import-tree makes in a commit, so that `ostree commit`,
    rpm-ostree and osbuild commit the same. Prints the path of the journal, by which --undo takes
    the changes back.
    """
    from importer.tree.in_place import translate_in_place

    end_work(given, lambda progress: translate_in_place(_translation(given), progress))


def _translation(given: Given) -> InPlaceJob:
    from importer.tree.in_place import InPlaceJob

    rules, how = given(TreeRules), given(TranslateArguments)
    return InPlaceJob(
        root=how.root,
        device_nodes=rules.device_nodes,
        keep_opaque=rules.opaque is Opaque.KEEP,
        undo=how.undo,
        dry_run=given(Rehearsal).dry_run,
        force=how.force,
        journal=how.journal,
    )


import_tree.commands["translate"] = translate
