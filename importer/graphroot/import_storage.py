"""The images of an existing store to ostree: store → images → tars → commits → ref."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cache.branches import storage_branch
from importer.cache.layer import LayerCommit, check_devices, find_layer
from importer.commit.images import check_target, commit_images, found_layers
from importer.commit.result import Result
from importer.commit.signing import check_keys
from importer.commit.target import Target
from importer.errors import ImporterError
from importer.graphroot.containers_storage import Graphroot
from importer.graphroot.docker import Dockerroot
from importer.graphroot.files import is_there, names_in
from importer.graphroot.import_layers import MissingLayer, SourceReader
from importer.repo.writer import Repo
from layers.storage.select_image import select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.graphroot.source import Source, SourceImage, SourceLayer
    from importer.progress import Progress
    from layers.storage.image import Image, ImageLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageJob(Target):
    """An import of the store at `graphroot`; without `names`, of all its images.

    `verified_only` refuses layers that cannot be verified by their diffID.
    """

    graphroot: Path
    names: tuple[str, ...]
    verified_only: bool


def import_storage(job: StorageJob, progress: Progress) -> Result:
    """Do the job; LayerError or ImporterError if it cannot be done, and then no ref of a
    store has moved."""
    source = open_source(job.graphroot, progress)
    chosen = _chosen(source, job, progress)
    images = tuple(source.load(image) for image in chosen)
    repo = Repo.open(job.repo, create=True)
    repo.check_writable()
    check_keys(repo, job.signing)
    repo.check_place(_branch(job))
    wanted = _wanted(zip(images, chosen, strict=True))
    reader = SourceReader(job.layer_options, progress)
    with repo.locked():  # as import_images does, and for as long
        check_target(job, repo, job.onto, _branch(job))
        before = {layer.id: find_layer(repo, layer.id) for layer, _ in wanted}
        missing = _missing(job, wanted, before)
        reader.import_layers(repo, missing)
        layers = found_layers(repo, images)
        stores = commit_images(job, repo, {_branch(job): images}, progress)
    new = frozenset(key for key, found in layers.items() if found != before[key])
    return Result(stores, images, layers, new, reader.bytes)


def _branch(job: StorageJob) -> str:
    """A symlink on the way stays in the name; `.` and `..` do not."""
    return job.branch or storage_branch(Path(os.path.abspath(job.graphroot)))  # noqa: PTH100


def open_source(path: Path, progress: Progress) -> Source:
    """The store at the path; ImporterError for what is none, or of a kind that we cannot read."""
    path = path.resolve()  # the way to a store may be a symlink; within it, none is followed
    names = {os.fsdecode(name) for name in names_in(path)}
    if "overlay-images" in names or "overlay-layers" in names:
        return Graphroot(path)
    if is_there(path / "image" / "overlay2"):
        return Dockerroot(path, progress)
    raise ImporterError(f"{path} is no store of images that we can read", hint=_hint(path, names))


def _hint(path: Path, names: set[str]) -> str:
    drivers = sorted(name.removesuffix("-images") for name in names if name.endswith("-images"))
    drivers += map(os.fsdecode, names_in(path / "image")) if "image" in names else []
    if drivers:
        return f"its driver is {drivers[0]}; only overlay and Docker's overlay2 can be read"
    # Docker 29 has no `image` in its own directory, unless it began as an older one.
    docker = {"containerd", "engine-id"} & names
    if docker or any(name.startswith("io.containerd.") for name in names):
        return "containerd keeps images in its own way; `docker save`, then docker-archive:FILE"
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


def _wanted(images: Iterable[tuple[Image, SourceImage]]) -> list[tuple[ImageLayer, SourceLayer]]:
    """Each layer once, parents first; where the store has one twice, the one with a record."""
    wanted: dict[str, tuple[ImageLayer, SourceLayer]] = {}
    for image, found in images:
        for layer, source in zip(image.layers, found.layers or (), strict=True):
            _ = layer.compression  # an unknown media type is found before anything is read
            present = wanted.setdefault(layer.id, (layer, source))
            if present[1].record is None and source.record is not None:
                wanted[layer.id] = (layer, source)
    return list(wanted.values())


def _missing(
    job: StorageJob,
    wanted: list[tuple[ImageLayer, SourceLayer]],
    before: dict[str, LayerCommit | None],
) -> list[MissingLayer]:
    """What has no verified branch yet: what is not verified may have changed since."""
    unverified: set[str] = set()
    missing = []
    for layer, source in wanted:
        found = before[layer.id]
        if found is not None and found.verified:
            check_devices(layer, found, job.layer_options.device_nodes)
            continue
        if source.record is None or unverified.intersection(layer.parents):
            unverified.add(layer.id)
        if source.record is None and job.verified_only:
            raise ImporterError(
                f"layer {layer.diff_id} has no tar-split record to verify it by",
                hint="pull the image again, or leave --verified-only out",
            )
        missing.append(MissingLayer(layer, source, layer.id not in unverified))
    return missing
