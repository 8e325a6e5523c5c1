"""Run an import: find images → plan → read layers → commit branches → result."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Protocol

from importer.commit.commit_branches import commit_branches
from importer.commit.signing import check_keys
from importer.errors import Failures, ImporterError
from importer.ingest.executor import local_executors
from importer.repo.writer import Repo
from importer.run.read_layers import all_layers, read_layers
from importer.run.result import Made, Result
from layers.errors import Fault
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from importer.commit.commit_branches import BranchCommit
    from importer.commit.plan import Plan, PlannedBranch
    from importer.commit.target import Target
    from importer.ingest.executor import OpenExecutors
    from importer.progress import Progress
    from importer.release.files import FilesToWrite, Prepared
    from importer.release.outcome import ReleaseOutcome
    from importer.run.read_layers import PartRead
    from importer.run.result import CopiedStore


class Source(Protocol):
    """Finds the images of an import, and plans it."""

    def planned(
        self, target: Target, repo: Repo, progress: Progress
    ) -> AbstractContextManager[Plan]:
        """Find the images and their layers, and yield the plan. On leaving, end what fetches the
        plan's layers. The repo is only read.

        Raise LayerError or ImporterError if an image that is no component of a release cannot be
        found.
        """


class StoreCopy(Protocol):
    """Writes a copy of a store to a place outside of the repo."""

    def check(self) -> None:
        """Raise ImporterError if the place is not ours to write to, before images are fetched."""

    def write(self, repo: Repo, commit: str, prefix: str, progress: Progress) -> CopiedStore:
        """Write the store that a commit has at `prefix`. Raise ImporterError if the place cannot
        have the store."""


@frozen
class ImportJob:
    """An import of a source's images to a target.

    `executors` opens what reads layers: processes of this machine, or a cluster. `keep_going`
    commits a release without the components that cannot be imported. `keep` is how many releases
    stay on a branch, None for all. `files` get a release's digests. `copy` writes the store to a
    place outside of the repo.
    """

    _: KW_ONLY
    target: Target
    source: Source
    executors: OpenExecutors = local_executors
    keep_going: bool = False
    keep: int | None = None
    files: FilesToWrite | None = None
    copy: StoreCopy | None = None


def import_all(job: ImportJob, progress: Progress) -> Result:
    """Import the images. Raise LayerError or ImporterError if that cannot be done, Failures if
    components of a release cannot be imported, unless `job.keep_going`; then no branch has moved.
    """
    target = job.target
    check_place(job)
    repo = Repo.open(target.repo, create=True)
    check_repo(job, repo)
    # Until a commit names the layers, no branch of an image needs them. The lock keeps
    # `image-store prune` from deleting them, the new ones and those of earlier imports.
    with (
        repo.locked(),
        job.source.planned(target, repo, progress) as plan,
        job.executors(repo, progress) as make_executor,
    ):
        check_one_store(job, plan)
        parts = read_layers(target, repo, plan, make_executor, progress)
        branches = [branch for part in parts for branch in part.part.branches]
        check_faults(branches, keep_going=job.keep_going)
        branches = [_with_kept_images(job, repo, branch, progress) for branch in branches]
        with _prepared(job, repo, branches) as files:
            commits = commit_branches(target, repo, branches, all_layers(parts), progress)
            updated = files.publish() if files is not None else ()
        made = tuple(
            Made(_part(parts, commit), commit, _outcome(job, repo, commit)) for commit in commits
        )
        copied = _copied(job.copy, repo, commits[0], target.prefix, progress) if job.copy else None
        return Result(tuple(parts), made, updated, copied)


def _copied(
    copy: StoreCopy, repo: Repo, commit: BranchCommit, prefix: str, progress: Progress
) -> CopiedStore:
    """Write the copy of a commit's store. An error tells that the branch has moved."""
    try:
        return copy.write(repo, commit.checksum, prefix, progress)
    except Fault as error:
        if not commit.unchanged:
            moved = f"branch {commit.branch.name} has moved; the same command completes the copy"
            error.hint = f"{error.advice}; {moved}" if error.advice else moved
        raise


def _part(parts: Sequence[PartRead], commit: BranchCommit) -> PartRead:
    name = commit.branch.name
    return next(part for part in parts if any(name == branch.name for branch in part.part.branches))


# What only a release needs is loaded for a release alone.


def _with_kept_images(
    job: ImportJob, repo: Repo, branch: PlannedBranch, progress: Progress
) -> PlannedBranch:
    if branch.release is None:
        return branch
    from importer.release.keep_images import with_kept_images

    return with_kept_images(job.target, repo, branch, progress)


@contextmanager
def _prepared(
    job: ImportJob, repo: Repo, branches: Sequence[PlannedBranch]
) -> Iterator[Prepared | None]:
    """Write the job's files under temporary names; None if there are none."""
    if job.files is None:
        yield None
        return
    from importer.release.head import release_of
    from layers.release.lock import Locked

    locked = [Locked(branch.release, branch.by_component) for branch in branches if branch.release]
    before = [release_of(repo, branch.head, branch.name) for branch in branches if branch.release]
    with job.files.prepared(locked, before) as files:
        yield files


def _outcome(job: ImportJob, repo: Repo, commit: BranchCommit) -> ReleaseOutcome | None:
    release = commit.branch.release
    if release is None:
        return None
    from importer.release.outcome import release_outcome

    return release_outcome(repo, commit, release, job.keep)


def check_place(job: ImportJob) -> None:
    """Raise ImporterError if the copy of the store cannot be written to its place."""
    if job.copy is not None:
        job.copy.check()


def check_one_store(job: ImportJob, plan: Plan) -> None:
    """Raise ImporterError if --to would have to copy the stores of several branches."""
    if job.copy is not None and len(plan.branches) != 1:
        raise ImporterError(
            f"--to writes one store, and there are {len(plan.branches)}:"
            f" {', '.join(branch.name for branch in plan.branches)}",
            hint="import for one --arch at a time",
        )


def check_repo(job: ImportJob, repo: Repo) -> None:
    """Raise ImporterError if the repo cannot be written to, cannot hold images, or if a key cannot
    sign."""
    repo.check_writable()
    repo.check_holds_images()
    check_keys(repo, job.target.signing)


def check_faults(branches: Sequence[PlannedBranch], *, keep_going: bool) -> None:
    """Raise Failures with all faults if components have failed, unless `keep_going`."""
    several = len(branches) > 1
    faults = {
        f"component {name}{f' ({branch.arch})' if several else ''}": fault
        for branch in branches
        for name, fault in branch.faults.items()
    }
    whole = sum(len(branch.images) + len(branch.faults) for branch in branches)
    empty = any(branch.faults and not branch.images for branch in branches)
    if faults and (empty or not keep_going):
        raise Failures(
            f"{len(faults)} of {whole} images cannot be imported; no branch was moved",
            faults,
            hint="" if empty else "--keep-going commits the others",
        )
