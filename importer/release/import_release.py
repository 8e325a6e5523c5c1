"""A whole import of a release: sources → release → images → commit → report of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.images import tell_doubts
from importer.commit.signing import check_keys
from importer.commit.time import tell_future
from importer.errors import Failures
from importer.ingest.allowance import Allowance
from importer.ingest.executors import opened_executors
from importer.release.commit import (
    Draft,
    ReleaseCommit,
    commit_releases,
    commit_time,
    drop_older,
    layers_of,
    release_of,
    resolved,
)
from importer.release.files import prepared
from importer.release.gather_images import gather
from importer.release.keep_images import images_to_keep
from importer.release.parts import opened_parts
from importer.release.plan import plan_parts
from importer.release.result import Imported, ReleaseResult
from importer.repo.fetch_cost import fetch_cost
from importer.repo.writer import Repo
from importer.store.lost import Lost, find_lost
from importer.store.reader import NoStoreError, open_store
from layers.release.diff import compare, compare_layers
from layers.release.lock import Locked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.ingest.executors import Executors
    from importer.progress import Progress
    from importer.release.gather_images import Gathered
    from importer.release.job import ReleaseJob
    from importer.release.parts import Part
    from importer.release.plan import PartPlan
    from importer.repo.fetch_cost import Fetch
    from importer.repo.values import Commit


def import_release(job: ReleaseJob, progress: Progress) -> ReleaseResult:
    """Import a release.

    Raise LayerError or ImporterError if the import fails; then no ref has moved. Raise Failures
    if images cannot be imported, unless `job.keep_going`.
    """
    repo = Repo.open(job.target.repo, create=True)
    repo.check_writable()
    check_keys(repo, job.target.signing)
    if job.target.flatten:
        from importer.cache.flattened import NO_EXPORT

        progress.message(NO_EXPORT)
    # The lock keeps a prune from deleting layers' commits before the release's commit names them.
    with (
        repo.locked(),
        opened_parts(job.origin, progress) as parts,
        opened_executors(job.target.cluster, repo, progress) as executors,
    ):
        plans = plan_parts(job, repo, parts)
        gathered = _gather_all(job, repo, plans, parts, progress, executors)
        check_faults([plan.release.arch for plan in plans], gathered, keep_going=job.keep_going)
        drafts = [
            _draft(job, repo, progress, *one) for one in zip(parts, plans, gathered, strict=True)
        ]
        locked = [Locked(one.release, one.images) for one in drafts]
        before = [release_of(repo, one.head, one.branch) for one in drafts]
        with prepared(job, locked, before) as files:
            commits = commit_releases(job.target, repo, drafts)
            updated = files.publish()
        for message in dict.fromkeys(one for commit in commits for one in commit.messages):
            progress.message(message)
        imported = tuple(
            _imported(job, repo, *one) for one in zip(drafts, commits, gathered, strict=True)
        )
        fetched = sum(part.blobs.fetched_bytes for part in parts)
        return ReleaseResult(imported, fetched, updated)


def _gather_all(
    job: ReleaseJob,
    repo: Repo,
    plans: Sequence[PartPlan],
    parts: Sequence[Part],
    progress: Progress,
    executors: Executors,
) -> list[Gathered]:
    found: list[Gathered] = []
    before: set[str] = set()
    allowance = Allowance(job.target.total)
    for plan, part in zip(plans, parts, strict=True):
        found.append(gather(job, repo, plan, part.blobs, before, progress, allowance, executors))
        before |= found[-1].fetched
    return found


def check_faults(
    arches: Sequence[str], gathered: Sequence[Gathered | PartPlan], *, keep_going: bool
) -> None:
    """Raise Failures with all faults if images have failed, unless `keep_going`."""
    shown = [f" ({arch})" if len(arches) > 1 else "" for arch in arches]
    faults = {
        f"component {name}{arch}": fault
        for arch, found in zip(shown, gathered, strict=True)
        for name, fault in found.faults.items()
    }
    whole = sum(len(found.images) + len(found.faults) for found in gathered)
    empty = any(not found.images for found in gathered)
    if faults and (empty or not keep_going):
        raise Failures(
            f"{len(faults)} of {whole} images cannot be imported; no branch was moved",
            faults,
            hint="" if empty else "--keep-going commits the others",
        )


def _draft(
    job: ReleaseJob,
    repo: Repo,
    progress: Progress,
    part: Part,
    plan: PartPlan,
    found: Gathered,
) -> Draft:
    release, images = resolved(part.release, found.images), list(found.images.values())
    kept = images_to_keep(repo, plan.head, release, images, job.target.keep_images, progress)
    draft = Draft(
        plan.branch, plan.base, plan.head, plan.kind, release, found.images, found.layers, kept
    )
    if job.target.timestamp is None:
        tell_future(images, commit_time(draft), progress)
    tell_doubts(images, progress)
    return draft


def _imported(
    job: ReleaseJob, repo: Repo, draft: Draft, commit: ReleaseCommit, found: Gathered
) -> Imported:
    sizes = layers_of(repo, repo.commit(commit.checksum))
    before = layers_of(repo, draft.head)
    # Before the old commit may be dropped.
    lost, device = _lost(repo, draft.head, commit), _device(repo, draft, commit)
    return Imported(
        draft.branch,
        draft.release,
        commit,
        compare(release_of(repo, draft.head, draft.branch), draft.release),
        compare_layers(before, sizes),
        sizes,
        found,
        drop_older(repo, draft.branch, job.keep) if job.keep is not None else (),
        device,
        draft.kept,
        lost,
    )


def _lost(repo: Repo, head: Commit | None, commit: ReleaseCommit) -> Lost:
    """Return the images and layers that the new commit lacks and the branch's last commit has."""
    if commit.unchanged:
        return Lost((), ())
    new = open_store(repo, commit.checksum, None)
    try:
        old = open_store(repo, head.checksum, None) if head is not None else None
    except NoStoreError:
        old = None
    return find_lost(old, new)


def _device(repo: Repo, draft: Draft, commit: ReleaseCommit) -> Fetch | None:
    if draft.head is None or commit.unchanged:
        return None
    return fetch_cost(repo, draft.head, repo.commit(commit.checksum))
