"""The nightly job, as one sentence: sources → release → images → commit → what changed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from importer.cache.flattened import NO_EXPORT
from importer.cache.omitted import tell_left_out
from importer.commit.images import check_target
from importer.commit.signing import check_keys
from importer.errors import Failures, ImporterError
from importer.files.replacement import Replacement, check_replaceable, read_file
from importer.release.commit import (
    Draft,
    ReleaseCommit,
    commit_releases,
    drop_older,
    head_of,
    latest_release,
    layers_of,
    release_of,
    resolved,
)
from importer.release.gather_images import Gatherer
from importer.release.plan import planned
from importer.release.result import Imported, ReleaseResult
from importer.release.sources import advising
from importer.repo.commit_keys import store_prefix
from importer.repo.writer import Repo
from importer.store.documents import StoredDocuments
from layers.document import MAX_DOCUMENT_SIZE
from layers.release.diff import compare, compare_layers
from layers.release.lock import Locked, check_lockable, lock_document
from layers.release.microshift_json import updated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from importer.progress import Progress
    from importer.release.gather_images import Gathered
    from importer.release.job import ReleaseJob
    from importer.release.plan import Part
    from importer.repo.values import Commit
    from layers.release.release import Release


def import_release(job: ReleaseJob, progress: Progress) -> ReleaseResult:
    """Do the job; LayerError or ImporterError if it cannot be done, and then no ref moves.

    Failures if images cannot be had, unless the job is to keep going.
    """
    repo = Repo.open(job.repo, create=True)
    repo.check_writable()
    check_keys(repo, job.signing)
    if job.flatten:
        progress.message(NO_EXPORT)
    # No prune may come between the layers' commits and the release's, which needs them.
    with repo.locked(), planned(job.origin, progress) as parts:
        heads = _heads(job, repo, parts)
        _check_files(job, [part.release for part in parts])
        known = _documents(repo, heads, parts)
        gathered = [_gather(job, repo, part, known, progress) for part in parts]
        _check(job, parts, gathered)
        drafts = _drafts(job, heads, parts, gathered)
        commits, files = _commit(job, repo, drafts)
        imported = tuple(
            _imported(job, repo, draft, commit, found)
            for draft, commit, found in zip(drafts, commits, gathered, strict=True)
        )
        fetched = sum(part.blobs.fetched_bytes for part in parts)
        return ReleaseResult(imported, fetched, files)


def _heads(job: ReleaseJob, repo: Repo, parts: Sequence[Part]) -> list[Commit | None]:
    """The branches' commits so far. What no images could mend is found out before anything
    is fetched."""
    releases = [part.release for part in parts]
    branches = job.branches(releases)
    for onto, branch in zip(job.bases(releases), branches, strict=True):
        check_target(job, repo, onto, branch)
    return [head_of(repo, branch) for branch in branches]


def _check_files(job: ReleaseJob, releases: Sequence[Release]) -> None:
    """What is wrong with the files to write is found out before anything is fetched, too."""
    for path in [*filter(None, [job.lock]), *(path for _, path in job.updates)]:
        check_replaceable(path)
    for arch, path in job.updates:
        _updated(arch, path, releases)
    for release in releases if job.lock else ():
        for component in release.components.values():
            check_lockable(component)


def _drafts(
    job: ReleaseJob,
    heads: Sequence[Commit | None],
    parts: Sequence[Part],
    gathered: Sequence[Gathered],
) -> list[Draft]:
    releases = [part.release for part in parts]
    places = zip(job.branches(releases), job.bases(releases), heads, strict=True)
    return [
        Draft(*place, resolved(release, found.images), found.images)
        for place, release, found in zip(places, releases, gathered, strict=True)
    ]


def _documents(
    repo: Repo, heads: Sequence[Commit | None], parts: Sequence[Part]
) -> StoredDocuments:
    """Manifests and configs that are here: in the branches' stores, or, where a release has a
    branch of its own, in that of the last release for the same architecture."""
    known = StoredDocuments()
    for head, part in zip(heads, parts, strict=True):
        commit = head or latest_release(repo, part.release.arch)
        if commit is not None:
            known.add(repo.root(commit), store_prefix(commit))
    return known


def _gather(
    job: ReleaseJob, repo: Repo, part: Part, known: StoredDocuments, progress: Progress
) -> Gathered:
    gatherer = Gatherer(repo, part.blobs, job.layer_options, progress)
    found = gatherer.gather(part.release.components.values(), part.resolving(known))
    tell_left_out(found.layers, found.fetched, progress)
    return found


def _check(job: ReleaseJob, parts: Sequence[Part], gathered: Sequence[Gathered]) -> None:
    """Failures, all of them, if some of the images cannot be had and all are wanted."""
    arches = [f" ({part.release.arch})" if len(parts) > 1 else "" for part in parts]
    faults = {
        f"component {name}{arch}": fault
        for arch, found in zip(arches, gathered, strict=True)
        for name, fault in found.faults.items()
    }
    whole = sum(len(found.images) + len(found.faults) for found in gathered)
    empty = any(not found.images for found in gathered)
    if faults and (empty or not job.keep_going):
        raise Failures(
            f"{len(faults)} of {whole} images cannot be imported; no branch was moved",
            faults,
            hint="" if empty else "--keep-going commits the others",
        )


def _commit(
    job: ReleaseJob, repo: Repo, drafts: Sequence[Draft]
) -> tuple[list[ReleaseCommit], tuple[str, ...]]:
    """The commits, then the files; what can go wrong with a file goes wrong before."""
    with ExitStack() as stack:
        lock = [(job.lock, _lock(drafts))] if job.lock else []
        updated = [one.release for one in drafts]
        updates = [(path, _updated(arch, path, updated)) for arch, path in job.updates]
        locks = [stack.enter_context(Replacement(*one)) for one in lock]
        files = [stack.enter_context(Replacement(*one)) for one in updates]
        commits = commit_releases(job, repo, drafts)
        for file in locks:
            file.publish()
        return commits, tuple(str(file.path) for file in files if file.publish())


def _lock(drafts: Sequence[Draft]) -> bytes:
    return lock_document({one.release.arch: Locked(one.release, one.images) for one in drafts})


def _updated(arch: str, path: Path, releases: Sequence[Release]) -> bytes:
    meant = [one for one in releases if arch in ("", one.arch)]
    if len(meant) != 1:
        raise ImporterError(
            f"{path}: for which architecture is it?"
            if meant
            else f"{path} is for {arch}, and no release here is",
            hint="write --update-json ARCH=FILE, for an architecture of this call",
        )
    with advising("it has to be a MicroShift release file"):
        return updated(read_file(path, MAX_DOCUMENT_SIZE), meant[0], str(path))


def _imported(
    job: ReleaseJob, repo: Repo, draft: Draft, commit: ReleaseCommit, found: Gathered
) -> Imported:
    sizes = layers_of(repo, repo.commit(commit.checksum))
    before = layers_of(repo, draft.head)
    return Imported(
        draft.branch,
        draft.release,
        commit,
        compare(release_of(repo, draft.head, draft.branch), draft.release),
        compare_layers(before, sizes),
        sizes,
        found,
        drop_older(repo, draft.branch, job.keep) if job.keep is not None else (),
    )
