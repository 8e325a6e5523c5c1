"""An import, as one sentence: reference → manifest → blob stream → tar entries →
translated entries → mutable tree → commit → ref.
"""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from importer.cache.batch import LayerGroup
from importer.cache.branches import image_branch, rootfs_branch
from importer.cache.layer import check_devices, find_layer
from importer.commit.images import check_target, commit_images, found_layers
from importer.commit.result import Result
from importer.commit.signing import check_keys
from importer.commit.target import Form, Target
from importer.fetch.blobs import Blobs
from importer.fetch.resolver import Resolver
from importer.ingest.fetch_layer import fetch_layer
from importer.ingest.scheduler import LayerPool
from importer.repo.writer import Repo
from importer.store.documents import StoredDocuments

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.fetch.skopeo import Skopeo
    from importer.progress import Progress
    from layers.oci.reference import ImageName, Reference
    from layers.storage.image import Image, ImageLayer
    from layers.tree.read_layer import LayerOptions

_log = logging.getLogger(__name__)

# Manifests that are asked for at once.
_QUESTIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Target):
    """An import, as the command line asks for it; `branch` None means one for each image."""

    references: tuple[Reference, ...]
    name: ImageName | None
    skopeo: Skopeo


def import_images(job: Job, progress: Progress) -> Result:
    """Do the job; LayerError or ImporterError if it cannot be done, and then no ref of an
    image has moved."""
    repo = Repo.open(job.repo, create=True)
    repo.check_writable()
    check_keys(repo, job.signing)
    # Until the store's commit is there, no branch of an image needs the layers: the lock keeps
    # them from `image-store prune`, the new ones as well as those that were here.
    with repo.locked(), Blobs(job.skopeo, progress) as blobs:
        check_target(job, repo, job.onto, job.branch or "")
        images = _resolve(job, repo, blobs)
        missing = _missing(images, repo, job.layer_options)
        _import_layers(job, repo, blobs, missing)
        layers = found_layers(repo, images)
        stores = commit_images(job, repo, _branches(job, images), progress)
        fetched = frozenset(layer.id for layer, _ in missing)
        return Result(stores, images, layers, fetched, blobs.fetched_bytes)


def _branches(job: Job, images: tuple[Image, ...]) -> dict[str, list[Image]]:
    """Which images go to which branch."""
    branches: dict[str, list[Image]] = {}
    for image in images:
        branches.setdefault(_branch(job, image.reference), []).append(image)
    return branches


def _branch(job: Job, reference: Reference) -> str:
    own = rootfs_branch if job.form is Form.ROOTFS else image_branch
    return job.branch or own(reference)


def _resolve(job: Job, repo: Repo, blobs: Blobs) -> tuple[Image, ...]:
    known = StoredDocuments()
    for branch in {_branch(job, reference) for reference in job.references}:
        repo.check_place(branch)
        head = repo.resolve(branch)
        if head is not None:
            known.add(repo.root(repo.commit(head)), job.prefix)
    resolver = Resolver(job.skopeo, blobs, known)
    with ThreadPoolExecutor(_QUESTIONS) as pool:
        asked = [pool.submit(resolver.resolve, r, job.name) for r in job.references]
        _wait(asked, blobs.close)
    return tuple(answer.result() for answer in asked)


def _missing(
    images: tuple[Image, ...], repo: Repo, options: LayerOptions
) -> list[tuple[ImageLayer, str]]:
    """The layers without a branch, each once and parents first, with where to fetch them."""
    wanted: dict[str, tuple[ImageLayer, str]] = {}
    for image in images:
        for layer in image.layers:
            _ = layer.compression  # an unknown media type is found before anything is fetched
            wanted.setdefault(layer.id, (layer, image.source))
    missing = []
    for layer, source in wanted.values():
        found = find_layer(repo, layer.id)
        if found is None or not found.verified:
            missing.append((layer, source))
        else:
            _log.debug("layer %s is here already", layer.id)
            check_devices(layer, found, options.device_nodes)
    return missing


def _import_layers(
    job: Job, repo: Repo, blobs: Blobs, missing: list[tuple[ImageLayer, str]]
) -> None:
    with LayerPool(lambda: LayerGroup(repo.again())) as pool:
        for layer, source in missing:
            fetch = partial(fetch_layer, repo, blobs, source, layer, job.layer_options)
            pool.submit(layer, layer.available.size, fetch)
        pool.wait(blobs.close)


def _wait[T](futures: list[Future[T]], stop: Callable[[], None]) -> None:
    """Until all are done, or one has failed: then the others are stopped, and its error raised."""
    done, running = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        if future.exception() is not None:
            for other in running:
                other.cancel()
            stop()
            future.result()
