"""Translate a tree in place: walk → plan → journal → changes; or undo the journal's changes."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from dataclasses import KW_ONLY
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.beneath import Beneath
from importer.files.foreign import ForeignDirectory
from importer.tree.changes import make, undo
from importer.tree.in_use import use_of
from importer.tree.journal import JournalFile, opened_journal
from importer.tree.plan_changes import plan_changes, shown
from importer.tree.result import TreeCounts
from importer.tree.scan import TreeScan
from importer.tree.scanned import Rules
from layers.errors import LayerError
from layers.frozen import frozen
from layers.ondisk.change import Clear, Fill, Quote, Remove
from layers.ondisk.close_layers import check_collisions, close_tree
from layers.ondisk.commit_filter import CommitFilter, CommitOptions
from layers.path import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from importer.progress import Progress
    from layers.limits import DeviceNodes
    from layers.ondisk.change import Change

_SUFFIX = ".import-tree-journal"


@frozen
class InPlaceJob:
    """A translation of the directory `root` on the disk, or with `undo` its reversal.

    `journal` None stands for a file beside the root. `force` changes a tree that is in use.
    """

    _: KW_ONLY
    root: Path
    device_nodes: DeviceNodes
    keep_opaque: bool = True
    undo: bool = False
    dry_run: bool = False
    force: bool = False
    journal: Path | None = None


@frozen
class InPlaceResult:
    """The changes that were made, or with --dry-run would be; --undo reads `journal`."""

    job: InPlaceJob
    journal: Path
    changes: tuple[Change, ...]
    counts: TreeCounts

    @property
    def unchanged(self) -> bool:
        return not self.changes

    def lines(self) -> list[str]:
        """Return the text to print without --json: with --dry-run the changes, else the journal."""
        if self.job.dry_run:
            return self._shown
        return [] if self.job.undo or self.unchanged else [str(self.journal)]

    @property
    def _shown(self) -> list[str]:
        return [line for change in self.changes if (line := shown(change))]

    def document(self) -> dict[str, object]:
        counts = Counter(type(change) for change in self.changes)
        return {
            "root": self.job.root,  # the directory
            "journal": self.journal,  # the file by which `--undo` takes the changes back
            "dry_run": self.job.dry_run,  # whether the changes were only told
            "undone": self.job.undo,  # whether changes were taken back
            "unchanged": self.unchanged,  # whether there was nothing to change
            "made": counts[Quote],  # number of quoted whiteouts that were made
            # number of whiteouts of other forms, and of left-out entries, that were removed
            "removed": counts[Remove],
            # number of removed xattrs that made a directory opaque or announced whiteouts
            "cleared": counts[Clear],
            # number of files of `metacopy=on` that got their data from a lower layer
            "filled": counts[Fill],
            **self.counts.document(),  # TreeCounts
            # with `--dry-run`: the changes as lines
            **({"changes": self._shown} if self.job.dry_run else {}),
        }


def translate_in_place(job: InPlaceJob, progress: Progress) -> InPlaceResult:
    """Translate the tree, or undo a translation.

    Raise LayerError for an entry that ostree cannot store; then nothing has changed. Raise
    ImporterError for a tree that is in use or changes meanwhile. After an error or a kill, the
    same command continues the work.
    """
    with ForeignDirectory.named(job.root.resolve()) as root:
        journal = _outside(job.journal or _beside(root.path), root.path)
        _lock(root)
        with opened_journal(journal, root) as file:
            return _InPlace(job, root, file, progress).run()


def _lock(root: ForeignDirectory) -> None:
    """Lock the tree until it is closed. Raise ImporterError if another import-tree has locked
    it."""
    try:
        fcntl.flock(root.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ImporterError("another import-tree changes it", path=root.path) from None


class _InPlace:
    def __init__(
        self, job: InPlaceJob, root: ForeignDirectory, journal: JournalFile, progress: Progress
    ) -> None:
        self._job = job
        self._root = root
        self._progress = progress
        self._counts = TreeCounts()
        self._file = journal

    def run(self) -> InPlaceResult:
        if not (self._job.force or self._job.dry_run):
            self._check_unused()
        if self._job.undo:
            return self._result(self._undo())
        if self._job.dry_run:
            # The walk finds unfinished changes again, hence the dict.
            return self._result(tuple(dict.fromkeys(self._unfinished() + self._plan())))
        unfinished = self._unfinished()
        if unfinished:
            self._make(unfinished)
        changes = self._plan()
        if changes:
            self._begin(changes)
            self._make(changes)
        return self._result(unfinished + changes)

    def _result(self, changes: tuple[Change, ...]) -> InPlaceResult:
        self._counts.tell(self._progress)
        return InPlaceResult(self._job, self._file.path, changes, self._counts)

    def _check_unused(self) -> None:
        use = use_of(self._root.path)
        if use is not None:
            raise ImporterError(
                f"{self._root.shown(b'')} is in use: {use}",
                hint="stop the containers and the daemon first; --force changes the tree anyway",
            )

    def _unfinished(self) -> tuple[Change, ...]:
        """Return the changes of the journal that an earlier run may not have made."""
        return self._file.journal.changes[self._file.journal.done :]

    def _plan(self) -> tuple[Change, ...]:
        """Walk the tree and return the changes to make; nothing is changed yet."""
        job = self._job
        own = self._file.journal.own_whiteouts
        rules = Rules(job.device_nodes, job.keep_opaque, own_whiteouts=own)
        scanned = TreeScan(self._root, rules, CommitFilter(CommitOptions()), None).run()
        if scanned is None:
            raise RuntimeError("without a skip list the root is walked")
        settled, closing = close_tree(scanned.root, scanned.overlay_layers())
        check_collisions(settled)
        self._counts.whiteouts = closing.whiteouts
        self._counts.add(scanned, closing)
        return plan_changes(self._root, scanned, settled)

    def _begin(self, changes: Sequence[Change]) -> None:
        try:
            self._file.begin(changes)
        except LayerError as error:
            raise error.within(path=self._root.path) from None

    def _make(self, changes: Sequence[Change]) -> None:
        gone = self._each(changes, make)
        if gone:
            self._progress.message(f"not made: {gone} changes in directories that are gone")
        os.sync()
        self._file.finish()

    def _undo(self) -> tuple[Change, ...]:
        changes = self._file.journal.changes
        if not changes:
            raise ImporterError(
                f"there is no journal at {self._file.path}", hint="--journal names another file"
            )
        gone = self._each(changes[::-1], undo)
        if gone:
            self._progress.message(f"not undone: {gone} changes in directories that are gone")
        os.sync()
        self._file.remove()
        return changes

    def _each(self, changes: Sequence[Change], work: Callable[[Change, int, int], None]) -> int:
        """Call `work` for each change and its open directory. Return how many changes were
        skipped, since their directory no longer exists."""
        root, gone = self._root, 0
        with Beneath(root.descriptor) as beneath:
            for change in changes:
                with root.entry(joined(change.directory)):
                    try:
                        directory = beneath.directory(change.directory)
                    except FileNotFoundError:
                        gone += 1
                        continue
                    try:
                        work(change, directory, root.descriptor)
                    except ImporterError as error:
                        path = root.full(joined((*change.directory, error.path or b"")))
                        raise ImporterError(error.message, path=path) from None
                    except OSError as error:
                        if error.errno not in (ENOSPC, EDQUOT):
                            raise
                        # `ForeignDirectory` takes these for errors of a repo.
                        path = root.full(joined(change.directory))
                        raise ImporterError(os.strerror(error.errno), path=path) from None
        return gone


def _outside(journal: Path, root: bytes) -> Path:
    """Return the journal's path. Raise ImporterError if it is inside the tree."""
    if journal.resolve().is_relative_to(os.fsdecode(root)):
        raise ImporterError(
            f"the journal {journal} would be in the tree", hint="name a file elsewhere: --journal"
        )
    return journal


def _beside(root: bytes) -> Path:
    """Return the journal's default path. Raise ImporterError for the root directory."""
    path = Path(os.fsdecode(root))
    if not path.name:
        raise ImporterError("the journal has no place beside /", hint="name a file with --journal")
    return path.with_name(path.name + _SUFFIX)
