"""Read the directory trees of a job into one: walk → objects → closed layers → tree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from importer.commit.base_tree import SHOWN_BY_COMPOSEFS, CommitTree
from importer.commit.selinux import Labels, Policy
from importer.errors import ImporterError
from importer.files.foreign import ForeignDirectory
from importer.tree.known_directories import KnownDirectories
from importer.tree.known_files import KnownFiles, cache_path
from importer.tree.result import TreeCounts
from importer.tree.scan import TreeScan
from importer.tree.scanned import Rules
from importer.tree.store_files import FileStore
from importer.tree.write_tree import TreeWriter
from layers.errors import printable
from layers.ondisk.close_layers import check_collisions, close_tree, merge
from layers.ondisk.commit_filter import CommitFilter
from layers.tree.lower import each_directory

if TYPE_CHECKING:
    from importer.progress import Progress
    from importer.repo.commit_metadata import Base
    from importer.repo.writer import Repo
    from importer.tree.import_tree import TreeJob
    from importer.tree.scanned import Label
    from layers.ostree.objects import Stored
    from layers.tree.translate import Settled


class JobTrees:
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

    def written(self) -> Stored:
        """Read all trees, and write the commit's directories, within a transaction. Return the
        root."""
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
        self.counts.whiteouts = sum(len(tree.whiteouts) for _, tree in each_directory(whole))
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
            self._directories = KnownDirectories(cache, files, keep_xattrs)
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

    def _placed(self, whole: Settled, label: Label | None) -> Stored:
        writer = TreeWriter(self._repo, self._job.options, label)
        if self._base is None and self._job.prefix == "/":
            made = writer.write(whole)
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
        return tree.root.write()


def _policy(job: TreeJob, repo: Repo, base: Base | None) -> Policy | None:
    if job.policy_from_base and base is not None:
        return Policy.of_commit(repo, base.commit)
    where = job.roots[0] if job.policy_from_base else job.selinux_policy
    return Policy.of_directory(str(where)) if where is not None else None
