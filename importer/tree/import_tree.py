"""Commit directory trees: walk → objects → closed layers → tree → commit → ref."""

from __future__ import annotations

import gc
import os
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from importer.commit.base_tree import SHOWN_BY_COMPOSEFS, BaseCommit, CommitTree, find_base
from importer.commit.branch_head import head_of
from importer.commit.message import older
from importer.commit.selinux import Labels, Policy
from importer.commit.signing import check_keys, sign
from importer.errors import ImporterError
from importer.files.foreign import ForeignDirectory
from importer.repo.commit_keys import BASE
from importer.repo.commit_metadata import Base
from importer.repo.values import Message
from importer.repo.writer import Repo
from importer.tree.known_directories import KnownDirectories
from importer.tree.known_files import KnownFiles, cache_path
from importer.tree.result import TreeCounts, TreeResult
from importer.tree.scan import TreeScan
from importer.tree.scanned import Rules
from importer.tree.store_files import FileStore
from importer.tree.write_tree import TreeWriter
from layers.errors import printable
from layers.ondisk.close_layers import check_collisions, close_tree, merge, settled_paths
from layers.ondisk.commit_filter import CommitFilter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.progress import Progress
    from importer.repo.tree import Tree
    from importer.repo.values import Commit
    from importer.tree.job import TreeJob
    from importer.tree.scanned import Label
    from layers.tree.translate import Settled

_UNLABELLED = (
    "the files of the base commit have SELinux labels, and the tree's keep those that they have on"
    " disk; --selinux-policy=base labels them"
)


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
        trees = _Trees(job, repo, base, progress)
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
        _tell_composefs(repo, Base(repo.commit(commit), job.branch), progress)
    return TreeResult(job.branch, commit, written.is_head, *written.objects, trees.counts)


class _WrittenTree(NamedTuple):
    """The commit's tree, the dirtree and dirmeta `objects` of its root, and the branch's `head`,
    None for a new branch. `is_head` if the head has the same tree and message."""

    tree: Tree
    objects: tuple[str, str]
    head: Commit | None
    is_head: bool


def _write(trees: _Trees, job: TreeJob, repo: Repo, base: Base | None) -> _WrittenTree:
    """Write the tree's objects in a transaction of their own."""
    with repo.transaction() as transaction, _without_collector():
        tree = trees.tree()
        objects = tree.write()
        head = head_of(repo, job.branch)
        message = _message(job, base, head, 0)
        is_head = head is not None and repo.is_commit(head, tree, message, base)
        if is_head and not trees.counts.read:
            transaction.abandon()  # files that were read may restore lost objects
    trees.save()
    return _WrittenTree(tree, objects, head, is_head)


def _commit(
    written: _WrittenTree, job: TreeJob, repo: Repo, base: Base | None, progress: Progress
) -> str:
    """Commit the tree, and move the branch to the commit. Return the commit's checksum."""
    head = written.head
    with repo.transaction():
        message = _message(job, base, head, int(time.time()))
        parent = head.checksum if head is not None else None
        checksum = repo.write_commit(written.tree, message, base, parent)
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


def _tell_composefs(repo: Repo, made: Base, progress: Progress) -> None:
    """Report that the whiteouts do not work if the commit is deployed with composefs."""
    if BaseCommit(repo, made).enables_composefs():
        progress.message(f"the tree enables composefs: {SHOWN_BY_COMPOSEFS}")


def _message(job: TreeJob, base: Base | None, head: Commit | None, now: int) -> Message:
    """Return the commit's message. Without --timestamp, its time is `now`, or that of `head`, the
    commit's parent, if that is later: devices refuse an older commit."""
    when = job.timestamp
    if when is None:
        when = max(now, head.message.timestamp if head is not None else 0)
    facts = ((BASE, base.commit.checksum),) if base is not None else ()
    return Message(job.subject, when, metadata=facts)


class _Trees:
    """The trees of a job, read into one."""

    def __init__(self, job: TreeJob, repo: Repo, base: Base | None, progress: Progress) -> None:
        self.counts = TreeCounts()
        self._job = job
        self._repo = repo
        self._base = base
        self._progress = progress
        self._filter = CommitFilter(job.options)
        self._policy = _policy(job, repo, base)
        self._caches: list[KnownFiles] = []
        self._directories: KnownDirectories | None = None

    def tree(self) -> Tree:
        """Read all trees within a transaction, and return the commit's root."""
        label = self._label()
        whole: Settled | None = None
        for root in self._job.roots:
            settled = self._read(root, label)
            if settled is not None and whole is not None:
                merge(whole, settled)
            whole = whole or settled
        self._check_matched()
        if whole is None:
            raise ImporterError("the skip list leaves nothing to commit")
        check_collisions(whole)
        self.counts.whiteouts = sum(len(tree.whiteouts) for _, tree in settled_paths(whole))
        return self._placed(whole, label)

    @property
    def _is_as_found(self) -> bool:
        """Return whether the commit takes the directories of a single tree without any change."""
        job = self._job
        alone = len(job.roots) == 1 and self._base is None and job.prefix == "/"
        return alone and self._policy is None and not self._filter.does_anything

    @property
    def labels(self) -> bool:
        """Return whether the files are labelled by a policy."""
        return self._policy is not None

    def save(self) -> None:
        """Save the caches of known files. Call it once the files' objects are in the repo."""
        for cache in self._caches:
            cache.save()

    def _read(self, root: Path, label: Label | None) -> Settled | None:
        path = Path(os.path.abspath(root))  # noqa: PTH100 - a symlink stays in the name
        with ForeignDirectory.named(path) as directory:
            return self._scanned(directory, label)

    def _scanned(self, root: ForeignDirectory, label: Label | None) -> Settled | None:
        job, keep_xattrs = self._job, self._job.options.keeps_xattrs
        path = cache_path(job.repo, root.path) if job.cache else None
        cache = KnownFiles(path, keep_xattrs=keep_xattrs)
        rules = Rules(job.device_nodes, job.keep_opaque, keep_xattrs, label=label)
        files = FileStore(
            self._repo,
            root,
            cache,
            self.counts,
            self._progress,
            jobs=job.jobs,
            most=job.max_size,
            keep_xattrs=keep_xattrs,
        )
        if cache.is_kept and self._is_as_found:
            self._directories = KnownDirectories(cache, files, keep_xattrs=keep_xattrs)
        with files:
            scanned = TreeScan(root, rules, self._filter, files, self._directories).run()
        if scanned is None:
            return None
        settled, closing = close_tree(scanned.root, scanned.overlay_layers())
        self.counts.add(scanned, closing)
        self._caches.append(cache)
        return settled

    def _check_matched(self) -> None:
        """Raise ImporterError if a path of the statoverride or skip list is in no tree."""
        adds, skips, sets = self._filter.unmatched
        if adds or skips:
            shown = ", ".join(printable(path) for path in [*adds, *skips][:5])
            raise ImporterError(
                f"no tree has these paths of --statoverride or --skip-list: {shown}",
                hint="paths begin with a slash at the tree's root",
            )
        for path in sets:
            self._progress.message(f"--statoverride: no tree has {printable(path)}; ignored")
        for path in self._filter.ineffective:
            self._progress.message(
                f"--statoverride: no effect on {printable(path)}: a symlink has no mode of its own,"
                " and a directory's is set by =MODE alone, as by `ostree commit`"
            )

    def _label(self) -> Label | None:
        """Return a function that looks up a file's SELinux label by its path in the commit, None if
        there is no policy."""
        policy, prefix = self._policy, self._job.prefix.rstrip("/")
        if policy is None:
            return None

        def label(path: bytes, mode: int) -> bytes | None:
            place = prefix + path.decode("utf-8", "surrogateescape")
            text = policy.label(place.rstrip("/") or "/", mode)
            return text.encode() if text is not None else None

        return label

    def _placed(self, whole: Settled, label: Label | None) -> Tree:
        writer = TreeWriter(self._repo, self._job.options, label)
        if self._base is None and self._job.prefix == "/":
            made = self._repo.tree_of(writer.write(whole))
            if self._directories is not None:
                self._directories.save(writer.written)
            return made
        tree = CommitTree(self._repo, self._base, Labels(policy=self._policy))
        place = tree.directory(self._job.prefix)
        if self.counts.whiteouts and tree.enables_composefs():
            raise ImporterError(
                f"the base commit enables composefs, and the tree has {self.counts.whiteouts}"
                f" whiteouts: {SHOWN_BY_COMPOSEFS}",
                hint="import-image --whiteouts=none makes an image store without whiteouts",
            )
        writer.overlay(place, tree.before(self._job.prefix), whole)
        return tree.root


def _policy(job: TreeJob, repo: Repo, base: Base | None) -> Policy | None:
    if job.policy_from_base and base is not None:
        return Policy.of_commit(repo, base.commit)
    where = job.roots[0] if job.policy_from_base else job.selinux_policy
    return Policy.of_directory(str(where)) if where is not None else None
