"""Commit directory trees: walk → objects → closed layers → tree → commit → ref."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from dataclasses import KW_ONLY, field, replace
from typing import TYPE_CHECKING, NamedTuple

from importer.commit.base_tree import SHOWN_BY_COMPOSEFS, BaseCommit, find_base
from importer.commit.branch_head import head_of
from importer.commit.message import older
from importer.commit.signing import check_keys, sign
from importer.errors import layer_faults
from importer.files.replacement import read_file
from importer.ingest.budget import processors
from importer.repo.commit_keys import BASE
from importer.repo.commit_metadata import Base
from importer.repo.values import Message
from importer.repo.writer import Repo
from importer.tree.job_trees import JobTrees
from importer.tree.result import TreeResult
from layers.frozen import frozen
from layers.limits import CALL_LIMITS, DeviceNodes
from layers.ondisk.commit_filter import (
    CommitOptions,
    StatOverride,
    parse_skip_list,
    parse_statoverride,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.commit.target import GpgKey, KeyFile
    from importer.progress import Progress
    from importer.repo.values import Commit
    from layers.ostree.objects import Stored

_UNLABELLED = (
    "the files of the base commit have SELinux labels, and the tree's keep those that they have on"
    " disk; --selinux-policy=base labels them"
)
# Bytes of --statoverride and --skip-list: a line for each file of a large system is far less.
_LIMIT = 64 << 20


@frozen
class TreeJob:
    """A commit of the directories `roots`, a later one over the earlier ones, on `branch`.

    `onto` is the branch of an operating system that the trees are put into, at `prefix`, an
    absolute path. `selinux_policy` is a root directory with a policy; `policy_from_base` takes
    the one of `onto`, or of the first root. `timestamp` is in seconds since 1970, None for now.
    `jobs` is how many files are read at once, `max_size` how many bytes in all.
    """

    _: KW_ONLY
    repo: Path
    branch: str
    roots: tuple[Path, ...]
    onto: str | None = None
    prefix: str = "/"
    options: CommitOptions = field(default_factory=CommitOptions)
    device_nodes: DeviceNodes = DeviceNodes.AUTO
    keep_opaque: bool = True
    selinux_policy: Path | None = None
    policy_from_base: bool = False
    subject: str = ""
    timestamp: int | None = None
    signing: tuple[GpgKey | KeyFile, ...] = ()
    jobs: int = field(default_factory=processors)
    cache: bool = True
    max_size: int = CALL_LIMITS.size


def import_tree(job: TreeJob, progress: Progress) -> TreeResult:
    """Commit the trees.

    Raise LayerError for an entry that ostree cannot store. Raise ImporterError if the trees cannot
    be read or the repo cannot be written. After an error no ref has moved.
    """
    repo = Repo.open(job.repo, create=True)
    repo.check_writable()
    check_keys(repo, job.signing)
    repo.check_place(job.branch)
    if repo.mode == "bare-user-only":  # as `ostree commit` does there
        job = replace(job, options=replace(job.options, canonical_permissions=True))
    base = find_base(repo, job.onto, job.branch)
    with repo.locked():
        trees = JobTrees(job, repo, base, progress)
        written = _write(trees, job, repo, base)
        trees.counts.tell(progress)
        if base is not None and repo.is_labelled(base.commit) and not trees.labels:
            progress.message(_UNLABELLED)
        head = written.head
        if head is not None and written.is_head:
            sign(repo, head.checksum, job.signing)
            commit = head.checksum
        else:
            commit = _commit(written, job, repo, base, progress)
    if trees.counts.whiteouts and not written.is_head:
        made = BaseCommit(repo, Base(repo.commit(commit), job.branch))
        if made.enables_composefs():
            progress.message(f"the tree enables composefs: {SHOWN_BY_COMPOSEFS}")
    return TreeResult(job.branch, commit, written.is_head, *written.root, trees.counts)


class _WrittenTree(NamedTuple):
    """The commit's `root`, and the branch's `head`, None for a new branch. `is_head` if the head
    has the same tree and message."""

    root: Stored
    head: Commit | None
    is_head: bool


def _write(trees: JobTrees, job: TreeJob, repo: Repo, base: Base | None) -> _WrittenTree:
    """Write the tree's objects in a transaction of their own."""
    with repo.transaction() as transaction, _without_collector():
        root = trees.written()
        head = head_of(repo, job.branch)
        message = _message(job, base, head, 0)
        is_head = head is not None and repo.is_commit(head, root, message, base)
        if is_head and not trees.counts.read:
            transaction.abandon()  # files that were read may restore lost objects
    trees.save()
    return _WrittenTree(root, head, is_head)


def _commit(
    written: _WrittenTree, job: TreeJob, repo: Repo, base: Base | None, progress: Progress
) -> str:
    """Commit the tree, and move the branch to the commit. Return the commit's checksum."""
    head = written.head
    with repo.transaction():
        message = _message(job, base, head, int(time.time()))
        parent = head.checksum if head is not None else None
        checksum = repo.write_commit(written.root, message, base, parent)
        sign(repo, checksum, job.signing)
        repo.move_branch(job.branch, parent, checksum)
    for line in older(job.branch, head, message.timestamp):
        progress.message(line)
    return checksum


@contextmanager
def _without_collector() -> Iterator[None]:
    """Disable Python's garbage collector: it would search the tree's growing nodes for cycles
    again and again, a third of the time if no file is read. All nodes live until the end."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _message(job: TreeJob, base: Base | None, head: Commit | None, now: int) -> Message:
    """Return the commit's message. Without --timestamp, its time is `now`, or that of `head`, the
    commit's parent, if that is later: devices refuse an older commit."""
    when = job.timestamp
    if when is None:
        when = max(now, head.message.timestamp if head is not None else 0)
    facts = ((BASE, base.commit.checksum),) if base is not None else ()
    return Message(job.subject, when, metadata=facts)


def read_statoverride(path: Path | None) -> StatOverride:
    """Read the file. Raise ImporterError if it cannot be read, or a line is malformed."""
    if path is None:
        return StatOverride()
    with layer_faults(str(path), "it has lines as for `ostree commit --statoverride`"):
        return parse_statoverride(read_file(path, _LIMIT))


def read_skip_list(path: Path | None) -> frozenset[bytes]:
    """Read the file. Raise ImporterError if it cannot be read."""
    return parse_skip_list(read_file(path, _LIMIT)) if path is not None else frozenset()
