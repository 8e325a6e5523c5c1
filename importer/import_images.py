"""An import of images, as two sentences: references → manifests → plan;
plan → blob streams → tar entries → translated entries → trees → commits → refs.
"""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from importer.cache.branches import image_branch, rootfs_branch
from importer.commit.branch_head import head_to_replace
from importer.commit.images import check_target, commit_images
from importer.commit.plan import (
    LayerPlanner,
    Plan,
    PlannedBranch,
    check_names,
    repo_to_plan_with,
)
from importer.commit.result import Result
from importer.commit.signing import check_keys
from importer.commit.target import Form, Target
from importer.commit.whiteouts import chosen_kind
from importer.fetch.blobs import Blobs
from importer.fetch.resolver import Resolver
from importer.repo.commit_metadata import Base
from importer.repo.writer import Repo
from importer.store.documents import StoredDocuments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from importer.commit.dry_run import DryRun
    from importer.fetch.skopeo import Skopeo
    from importer.ingest.cluster.request import ReadBy
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from importer.repo.values import Commit
    from layers.oci.reference import ImageName, Reference
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An import of images to a target.

    `names` are the images' names in the store, where these are not just their references' own.
    """

    target: Target
    references: tuple[Reference, ...]
    names: Mapping[Reference, Sequence[ImageName]]
    skopeo: Skopeo


def import_images(job: Job, progress: Progress) -> Result:
    """Import the images. Raise LayerError or ImporterError if that cannot be done; then no ref
    of an image has moved."""
    repo = Repo.open(job.target.repo, create=True)
    # Until the store's commit exists, no branch of an image needs the layers. The lock keeps
    # `image-store prune` from deleting them, the new ones and those of earlier imports.
    _check_repo(job, repo)
    with repo.locked(), Blobs(job.skopeo, progress) as blobs:
        plan = _plan(job, repo, blobs)
        readers = _import_layers(job, repo, blobs, plan.layers.missing, progress)
        layers = plan.layers.after(repo)
        stores = commit_images(job.target, repo, plan.branches, layers, progress)
        fetched = frozenset(one.layer.id for one in plan.layers.missing)
        return Result(stores, plan.images, layers, fetched, blobs.fetched_bytes, readers)


def _import_layers(
    job: Job, repo: Repo, blobs: Blobs, missing: Sequence[MissingLayer], progress: Progress
) -> Mapping[str, ReadBy]:
    """Import the missing layers. Return a cluster's workers by the layers that they read."""
    if not missing:
        return {}
    # An import that finds nothing new does not load what reads layers.
    from importer.ingest.allowance import Allowance
    from importer.ingest.executors import opened_executors
    from importer.ingest.import_layers import import_layers

    with opened_executors(job.target.cluster, repo, progress) as executors:
        executor = executors.make(blobs, job.target.layer_options, Allowance(job.target.total))
        budget = executors.budget(job.target.budget, missing)
        import_layers(repo, missing, executor, budget, progress)
        return executor.readers


def plan_import(job: Job, progress: Progress) -> DryRun:
    """Return the plan of `import_images`. The repo is only read; a missing one is not created."""
    from importer.commit.dry_run import DryRun

    with repo_to_plan_with(job.target.repo) as repo, Blobs(job.skopeo, progress) as blobs:
        _check_repo(job, repo)
        return DryRun(job.target, _plan(job, repo, blobs))


def _check_repo(job: Job, repo: Repo) -> None:
    repo.check_writable()
    check_keys(repo, job.target.signing)


def _plan(job: Job, repo: Repo, blobs: Blobs) -> Plan:
    base = check_target(job.target, repo, job.target.onto, job.target.branch or "")
    names = dict.fromkeys(_branch(job, reference) for reference in job.references)
    heads = {name: head_to_replace(job.target, repo, name, base) for name in names}
    kinds = {name: chosen_kind(job.target, repo, name, base, head) for name, head in heads.items()}
    images = _resolve(job, repo, blobs, heads)
    planner = LayerPlanner(repo, job.target.layer_options.device_nodes)
    for image in images:
        planner.add(image)
    branches = tuple(
        PlannedBranch(
            name,
            tuple(image for image in images if _branch(job, image.reference) == name),
            head,
            Base(base.commit, name) if base is not None else None,
            kinds[name],
        )
        for name, head in heads.items()
    )
    if job.target.form is Form.LAYERS:
        return Plan(images, (), planner.plan())
    for branch in branches:
        check_names(branch.images)
    return Plan(images, branches, planner.plan())


def _branch(job: Job, reference: Reference) -> str:
    own = rootfs_branch if job.target.form is Form.ROOTFS else image_branch
    return job.target.branch or own(reference)


def _resolve(
    job: Job, repo: Repo, blobs: Blobs, heads: Mapping[str, Commit | None]
) -> tuple[Image, ...]:
    """Ask for the images, and return each once for each of its names.

    Manifests and configs that the branches' stores have are not fetched.
    """
    known = StoredDocuments()
    for head in heads.values():
        if head is not None:
            known.add(repo.root(head), job.target.prefix)
    resolver = Resolver(job.skopeo, blobs, known)
    with ThreadPoolExecutor(job.target.budget.questions) as pool:
        asked = [pool.submit(resolver.resolve, r) for r in job.references]
        if any(map(known.lack, job.references)):
            _load_readers()
        _wait(asked, blobs.close)
    found = [answer.result() for answer in asked]
    return tuple(
        replace(image, name=name)
        for image in found
        for name in job.names.get(image.reference) or (None,)
    )


def _load_readers() -> None:
    """Load what reads layers, which takes as long as skopeo takes to start."""
    import importer.ingest.executor
    import importer.ingest.import_layers  # noqa: F401


def _wait[T](futures: list[Future[T]], stop: Callable[[], None]) -> None:
    """Wait until all are done, or one has failed: then stop the others, and raise its error."""
    done, running = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        if future.exception() is not None:
            for other in running:
                other.cancel()
            stop()
            future.result()
