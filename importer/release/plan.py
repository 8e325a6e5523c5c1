"""The plan of an import-release for each architecture: computed first, then executed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.commit.branch_head import head_to_replace
from importer.commit.images import check_target
from importer.commit.plan import LayerPlan, LayerPlanner, check_names
from importer.commit.whiteouts import chosen_kind
from importer.release.commit import latest_release, release_of, resolved
from importer.release.files import check_files
from importer.repo.commit_keys import store_prefix
from importer.store.documents import StoredDocuments
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from importer.release.job import ReleaseJob
    from importer.release.parts import Part
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.release.release import Component, Release
    from layers.storage.image import Image
    from layers.storage.store_id import StoreKind


@dataclass(frozen=True, slots=True)
class PartPlan:
    """A release for one architecture.

    `head` is the branch's present commit, `base` the operating system's commit that the store
    goes into, each None if there is none. `kind` is the kind of the store. `release` and `images`
    have the components that were resolved; `faults` are the errors of the others.
    """

    branch: str
    head: Commit | None
    base: Base | None
    kind: StoreKind
    release: Release
    images: Mapping[str, Image]
    faults: Mapping[str, Fault]
    layers: LayerPlan


def plan_parts(job: ReleaseJob, repo: Repo, parts: Sequence[Part]) -> tuple[PartPlan, ...]:
    """Resolve all images, and find the missing layers. The repo is only read.

    Raise ImporterError for wrong options, branches or files before the first image is resolved.
    """
    releases = [part.release for part in parts]
    branches = job.branches(releases)
    bases = [
        check_target(job.target, repo, onto, branch)
        for onto, branch in zip(job.bases(releases), branches, strict=True)
    ]
    heads = [
        head_to_replace(job.target, repo, branch, base, is_parent=True)
        for branch, base in zip(branches, bases, strict=True)
    ]
    before = [release_of(repo, *one) for one in zip(heads, branches, strict=True)]
    kinds = [
        chosen_kind(job.target, repo, branch, base, head, head)
        for branch, base, head in zip(branches, bases, heads, strict=True)
    ]
    check_files(job, releases, before)
    known = _documents(repo, heads, releases)
    places = zip(branches, heads, bases, kinds, strict=True)
    return tuple(
        _plan_part(job, repo, part, known, place) for part, place in zip(parts, places, strict=True)
    )


def _documents(
    repo: Repo, heads: Sequence[Commit | None], releases: Sequence[Release]
) -> StoredDocuments:
    """Return the manifests and configs that the repo has: those of the branches' commits, or, for
    a new branch, those of the last release for the same architecture."""
    known = StoredDocuments()
    for head, release in zip(heads, releases, strict=True):
        commit = head or latest_release(repo, release.arch)
        if commit is not None:
            known.add(repo.root(commit), store_prefix(commit))
    return known


def _plan_part(
    job: ReleaseJob,
    repo: Repo,
    part: Part,
    known: StoredDocuments,
    place: tuple[str, Commit | None, Base | None, StoreKind],
) -> PartPlan:
    components = part.release.components.values()
    images, faults = resolve_all(components, part.resolving(known), job.target.budget.questions)
    planner = LayerPlanner(repo, job.target.layer_options.device_nodes)
    for name, image in images.items():
        try:
            planner.add(image)
        except Fault as fault:
            faults[name] = fault
    found = {name: image for name, image in images.items() if name not in faults}
    check_names(found.values())
    branch, head, base, kind = place
    release = resolved(part.release, found)
    return PartPlan(branch, head, base, kind, release, found, faults, planner.plan())


def resolve_all(
    components: Iterable[Component], resolve: Callable[[Component], Image], questions: int
) -> tuple[dict[str, Image], dict[str, Fault]]:
    """Resolve the components, `questions` at once. Return images and faults, by component."""
    with ThreadPoolExecutor(questions, thread_name_prefix="resolve") as pool:
        asked = {one.name: pool.submit(resolve, one) for one in components}
    faults = _faults(asked)
    return {name: one.result() for name, one in asked.items() if name not in faults}, faults


def _faults(futures: Mapping[str, Future[Image]]) -> dict[str, Fault]:
    """Return the Faults of the futures; raise any other error."""
    found: dict[str, Fault] = {}
    for name, future in futures.items():
        try:
            future.result()
        except Fault as fault:
            found[name] = fault
    return found
