"""`import-tree --in-place`: walk → plan → journal → changes; or the journal's changes, undone."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.tree.changes import Clear, Quote, Remove
from importer.tree.descriptors import Beneath, faults, open_root, shown
from importer.tree.in_use import use_of
from importer.tree.journal import JournalFile
from importer.tree.plan_changes import plan_changes
from importer.tree.plan_changes import shown as shown_change
from importer.tree.result import TreeCounts
from importer.tree.scan import TreeScan
from importer.tree.scanned import Rules
from layers.ondisk.close_layers import close_tree
from layers.ondisk.commit_filter import CommitFilter, CommitOptions
from layers.ondisk.merge import check_collisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from importer.progress import Progress
    from importer.tree.changes import Change
    from layers.tree.builder import DeviceNodes

_SUFFIX = ".import-tree-journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceJob:
    """A translation of the directory `root` on the disk, or its undoing by the journal.

    `journal` None stands for a file beside the root. `force` changes a tree that is in use.
    """

    root: Path
    device_nodes: DeviceNodes
    keep_opaque: bool = True
    undo: bool = False
    dry_run: bool = False
    force: bool = False
    journal: Path | None = None


@dataclass(frozen=True, slots=True)
class InPlaceResult:
    """What was changed, or with --dry-run would be; `journal` is where --undo finds it."""

    job: InPlaceJob
    journal: Path
    changes: tuple[Change, ...]
    counts: TreeCounts

    @property
    def unchanged(self) -> bool:
        """Whether there was nothing to change."""
        return not self.changes

    def lines(self) -> list[str]:
        """Return what is printed without --json: with --dry-run the changes, else the journal."""
        if self.job.dry_run:
            return [shown_change(change) for change in self.changes]
        return [] if self.job.undo or self.unchanged else [str(self.journal)]

    def document(self) -> dict[str, object]:
        """Return the JSON document."""
        numbers = {
            name: sum(isinstance(change, kind) for change in self.changes)
            for name, kind in (("made", Quote), ("removed", Remove), ("cleared", Clear))
        }
        found: dict[str, object] = {
            "root": str(self.job.root),
            "journal": str(self.journal),
            "dry_run": self.job.dry_run,
            "undone": self.job.undo,
            "unchanged": self.unchanged,
            **numbers,
            **self.counts.document(),
        }
        if self.job.dry_run:
            found["changes"] = [shown_change(change) for change in self.changes]
        return found


def translate_in_place(job: InPlaceJob, progress: Progress) -> InPlaceResult:
    """Change the tree, or undo that.

    Raise LayerError for what ostree cannot hold, then nothing has been changed; ImporterError
    for a tree that is in use or changes meanwhile. What an error or a kill has interrupted goes
    on when the same command runs again.
    """
    path = os.fsencode(job.root.resolve())
    descriptor = open_root(path)
    try:
        with _locked(path, descriptor):
            return _InPlace(job, (path, descriptor), progress).run()
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: bytes, descriptor: int) -> Iterator[None]:
    """Keep a second import-tree out of the tree."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ImporterError(f"{shown(path, ())}: another import-tree changes it") from None
    yield


class _InPlace:
    """One run over a tree."""

    def __init__(self, job: InPlaceJob, root: tuple[bytes, int], progress: Progress) -> None:
        self._job = job
        self._root = root
        self._progress = progress
        self._counts = TreeCounts()
        self._file = JournalFile(_outside(job.journal or _beside(root[0]), root[0]), root[0])

    def run(self) -> InPlaceResult:
        """Do the job."""
        self._file.load()
        if not (self._job.force or self._job.dry_run):
            self._check_unused()
        if self._job.undo:
            return self._result(self._undo())
        if self._job.dry_run:
            # What was begun and not made is planned once more by the walk.
            return self._result(tuple(dict.fromkeys(self._unfinished() + self._plan())))
        unfinished = self._unfinished()
        if unfinished:
            self._make(unfinished)
        changes = self._plan()
        if changes:
            self._file.begin(changes)
            self._make(changes)
        return self._result(unfinished + changes)

    def _result(self, changes: tuple[Change, ...]) -> InPlaceResult:
        self._counts.tell(self._progress)
        return InPlaceResult(self._job, self._file.path, changes, self._counts)

    def _check_unused(self) -> None:
        use = use_of(self._root[0])
        if use is not None:
            raise ImporterError(
                f"{shown(self._root[0], ())} is in use: {use}",
                hint="stop the containers and the daemon first; --force changes the tree anyway",
            )

    def _unfinished(self) -> tuple[Change, ...]:
        """Return the changes that an earlier run began, and may not have made."""
        return self._file.journal.changes[self._file.journal.done :]

    def _plan(self) -> tuple[Change, ...]:
        """Walk the tree and work out the changes; nothing is changed yet."""
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

    def _make(self, changes: Sequence[Change]) -> None:
        gone = self._each(changes, lambda change, directory: change.do(directory))
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
        gone = self._each(changes[::-1], lambda change, directory: change.undo(directory))
        if gone:
            self._progress.message(f"not undone: {gone} changes in directories that are gone")
        os.sync()
        self._file.remove()
        return changes

    def _each(self, changes: Sequence[Change], work: Callable[[Change, int], None]) -> int:
        """Do the work for each change, in its directory; how many directories were gone."""
        root, descriptor = self._root
        gone = 0
        with Beneath(descriptor) as beneath:
            for change in changes:
                with faults(root, change.directory):
                    try:
                        directory = beneath.directory(change.directory)
                    except FileNotFoundError:
                        gone += 1
                        continue
                    try:
                        work(change, directory)
                    except ImporterError as error:
                        raise ImporterError(f"{shown(root, change.directory)}/{error}") from None
        return gone


def _outside(journal: Path, root: bytes) -> Path:
    """Return the journal's path; ImporterError if it would be committed with the tree."""
    if journal.resolve().is_relative_to(os.fsdecode(root)):
        raise ImporterError(
            f"the journal {journal} would be in the tree", hint="name a file elsewhere: --journal"
        )
    return journal


def _beside(root: bytes) -> Path:
    """Return where the journal is unless the user says; ImporterError for the root directory."""
    path = Path(os.fsdecode(root))
    if not path.name:
        raise ImporterError("the journal has no place beside /", hint="name a file with --journal")
    return path.with_name(path.name + _SUFFIX)
