"""An import, as one sentence: images that are wanted → plan → layers → commits → result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.commit_branches import commit_branches
from importer.commit.plan import repo_to_plan_with
from importer.commit.signing import check_keys
from importer.errors import Failures
from importer.release.head import release_of
from importer.release.outcome import release_outcome, with_kept_images
from importer.repo.writer import Repo
from importer.run.dry_run import DryRun, rehearsed
from importer.run.read_layers import all_layers, read_layers
from importer.run.result import Made, Result
from layers.release.lock import Locked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.commit.commit_branches import BranchCommit
    from importer.commit.plan import Plan, PlannedBranch
    from importer.progress import Progress
    from importer.release.outcome import ReleaseOutcome
    from importer.run.job import ImportJob
    from importer.run.read_layers import PartRead


def import_all(job: ImportJob, progress: Progress) -> Result:
    """Import the images. Raise LayerError or ImporterError if that cannot be done, Failures if
    components of a release cannot be imported, unless `job.keep_going`; then no branch has moved.
    """
    target = job.target
    repo = Repo.open(target.repo, create=True)
    _check_repo(job, repo)
    # Until a commit names the layers, no branch of an image needs them. The lock keeps
    # `image-store prune` from deleting them, the new ones and those of earlier imports.
    with (
        repo.locked(),
        job.source.planned(target, repo, progress) as plan,
        job.executors(repo, progress) as executors,
    ):
        parts = read_layers(target, repo, plan, executors, progress)
        branches = [branch for one in parts for branch in one.part.branches]
        check_faults(branches, keep_going=job.keep_going)
        branches = [with_kept_images(target, repo, branch, progress) for branch in branches]
        locked = [Locked(one.release, one.by_component) for one in branches if one.release]
        before = [release_of(repo, one.head, one.name) for one in branches if one.release]
        with job.files.prepared(locked, before) as files:
            commits = commit_branches(target, repo, branches, all_layers(parts), progress)
            updated = files.publish()
        made = tuple(Made(_part(parts, one), one, _outcome(job, repo, one)) for one in commits)
        return Result(tuple(parts), made, updated)


def _part(parts: Sequence[PartRead], commit: BranchCommit) -> PartRead:
    """Return the part of a branch."""
    name = commit.branch.name
    return next(one for one in parts if any(name == each.name for each in one.part.branches))


def _outcome(job: ImportJob, repo: Repo, commit: BranchCommit) -> ReleaseOutcome | None:
    release = commit.branch.release
    return release_outcome(repo, commit, release, job.keep) if release is not None else None


def plan_import(job: ImportJob, progress: Progress) -> DryRun:
    """Return the plan of `import_all`. The repo is only read; a missing one is not created."""
    with repo_to_plan_with(job.target.repo) as repo:
        _check_repo(job, repo)
        with job.source.planned(job.target, repo, progress) as plan:
            check_faults(plan.branches, keep_going=job.keep_going)
            return _rehearsal(job, repo, plan)


def _rehearsal(job: ImportJob, repo: Repo, plan: Plan) -> DryRun:
    releases = [(one.release, one) for one in plan.branches if one.release is not None]
    before = [release_of(repo, one.head, one.name) for _, one in releases]
    branches = tuple(
        rehearsed(job.target, repo, branch, part.layers)
        for part in plan.parts
        for branch in part.branches
    )
    return DryRun(plan, branches, job.files.changed([one for one, _ in releases], before))


def _check_repo(job: ImportJob, repo: Repo) -> None:
    repo.check_writable()
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
