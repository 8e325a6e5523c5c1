"""The images of an existing store to ostree: store → images → tars → commits → ref."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cache.branches import storage_branch
from importer.commit.branch_head import head_to_replace
from importer.commit.dry_run import DryRun
from importer.commit.images import check_target, commit_images
from importer.commit.plan import LayerPlanner, Plan, PlannedBranch, repo_to_plan_with
from importer.commit.result import Result
from importer.commit.signing import check_keys
from importer.commit.target import Form, Target
from importer.commit.whiteouts import chosen_kind
from importer.errors import ImporterError
from importer.graphroot.containers_storage import Graphroot
from importer.graphroot.docker import DOCKER_HOME, THROUGH_DOCKER, Dockerroot
from importer.graphroot.files import Directory
from importer.graphroot.store_layers import StoreOrigin, store_origins, with_trust
from importer.ingest.allowance import Allowance
from importer.ingest.executors import opened_executors
from importer.ingest.import_layers import import_layers
from importer.repo.writer import Repo
from layers.storage.select_image import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.graphroot.source import Source, SourceImage
    from importer.progress import Progress
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageJob:
    """An import of the images `names` of the store at `graphroot`; of all images if it is empty.

    `verified_only` refuses layers that cannot be verified by their diffID.
    """

    target: Target
    graphroot: Path
    names: tuple[str, ...]
    verified_only: bool


def import_storage(job: StorageJob, progress: Progress) -> Result:
    """Import the store's images. Raise LayerError or ImporterError if that fails; then no ref of a
    store has moved."""
    images = _images(job, progress)
    repo = Repo.open(job.target.repo, create=True)
    _check_repo(job, repo)
    # Locked as by import_images, and for as long.
    with repo.locked(), opened_executors(job.target.cluster, repo, progress) as executors:
        planner = LayerPlanner(repo, job.target.layer_options.device_nodes)
        plan = _plan(job, repo, images, planner)
        before = {one.layer.id: planner.found(one.layer.id) for one in plan.layers.missing}
        executor = executors.make(None, job.target.layer_options, Allowance(job.target.total))
        _tell_unrecorded(plan, progress)
        budget = executors.budget(job.target.budget, plan.layers.missing)
        import_layers(repo, plan.layers.missing, executor, budget, progress)
        layers = plan.layers.after(repo)
        stores = commit_images(job.target, repo, plan.branches, layers, progress)
    new = frozenset(key for key in before if layers[key] != before[key])
    return Result(stores, plan.images, layers, new, executor.read_bytes, executor.readers)


def plan_storage(job: StorageJob, progress: Progress) -> DryRun:
    """Return the plan of `import_storage`. The repo is only read; a missing one is not created."""
    images = _images(job, progress)
    with repo_to_plan_with(job.target.repo) as repo:
        _check_repo(job, repo)
        planner = LayerPlanner(repo, job.target.layer_options.device_nodes)
        return DryRun(job.target, _plan(job, repo, images, planner))


def _images(job: StorageJob, progress: Progress) -> list[tuple[Image, SourceImage]]:
    source = open_source(job.graphroot, progress)
    return [(source.load(image), image) for image in _chosen(source, job, progress)]


def _check_repo(job: StorageJob, repo: Repo) -> None:
    repo.check_writable()
    check_keys(repo, job.target.signing)


def _plan(
    job: StorageJob,
    repo: Repo,
    found: list[tuple[Image, SourceImage]],
    planner: LayerPlanner,
) -> Plan:
    images, name = tuple(image for image, _ in found), _branch(job)
    base = check_target(job.target, repo, job.target.onto, name)
    last = head_to_replace(job.target, repo, name, base)
    origins = store_origins(found)
    for image in images:
        planner.add(image, [origins[layer.id] for layer in image.layers])
    layers = planner.plan()
    missing = with_trust(layers.missing, verified_only=job.verified_only)
    branch = PlannedBranch(
        name, images, last, base, chosen_kind(job.target, repo, name, base, last)
    )
    branches = () if job.target.form is Form.LAYERS else (branch,)
    return Plan(images, branches, replace(layers, missing=missing))


def _tell_unrecorded(plan: Plan, progress: Progress) -> None:
    for one in plan.layers.missing:
        origin = one.origins[0]
        if isinstance(origin, StoreOrigin) and origin.layer.record is None:
            progress.message(
                f"layer {one.layer.diff_id}: no tar-split record; taken as its directory is,"
                " unverified"
            )


def _branch(job: StorageJob) -> str:
    """Return the branch's name: --branch, or one made of the absolute path to the graphroot.

    Symlinks in the path are kept, `.` and `..` are resolved.
    """
    return job.target.branch or storage_branch(Path(os.path.abspath(job.graphroot)))  # noqa: PTH100


def open_source(path: Path, progress: Progress) -> Source:
    """Return the store at the path. Raise ImporterError if there is none, or if its driver is not
    supported."""
    path = path.resolve()
    directory = Directory.named(path)  # held open as long as we run
    names = {os.fsdecode(name) for name in directory.names()}
    if "overlay-images" in names or "overlay-layers" in names:
        return Graphroot(directory)
    if "image" in names and directory.is_there(DOCKER_HOME):
        return Dockerroot(directory, progress)
    raise ImporterError(
        f"{path} is no store of images that we can read", hint=_hint(path, directory, names)
    )


def _hint(path: Path, directory: Directory, names: set[str]) -> str:
    drivers = sorted(name.removesuffix("-images") for name in names if name.endswith("-images"))
    if "image" in names:
        with directory.directory(b"image") as docker_images:
            drivers += map(os.fsdecode, docker_images.names())
    if drivers:
        return f"its driver is {drivers[0]}; only overlay and Docker's overlay2 can be read"
    # Docker 29 has no `image` in its own directory, unless it began as an older one.
    docker = {"containerd", "engine-id"} & names
    if docker or any(name.startswith("io.containerd.") for name in names):
        return f"containerd keeps images in its own way; {THROUGH_DOCKER}"
    if "storage" in names:
        return f"did you mean {path / 'storage'}?"
    return "it is usually /var/lib/containers/storage or /var/lib/docker"


def _chosen(source: Source, job: StorageJob, progress: Progress) -> list[SourceImage]:
    images = source.images()
    if job.names:
        found = dict.fromkeys(_named(images, name) for name in job.names)
        return list(found)
    for image in images:
        if image.layers is None:
            progress.message(f"{image}: left out, since not all of its layers are there")
    complete = [image for image in images if image.layers is not None]
    if not complete:
        raise ImporterError(f"{job.graphroot} has no complete image")
    return sorted(complete, key=lambda image: image.id)


def _named(images: Sequence[SourceImage], name: str) -> SourceImage:
    image = select(images, name)
    if image is None:
        raise ImporterError(
            f"the store has no image {name[:200]!r}", hint="without a name, all images are taken"
        )
    if image.layers is None:
        raise ImporterError(
            f"{image}: not all of its layers are in the store", hint="pull it there again"
        )
    return image
