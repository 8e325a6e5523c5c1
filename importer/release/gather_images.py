"""Import a release's layers into the repo; the layers of other images go on if one fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from importer.cache.omitted import tell_left_out
from importer.release.component_progress import ComponentProgress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from importer.cache.layer import LayerCommit
    from importer.fetch.blobs import Blobs
    from importer.ingest.allowance import Allowance
    from importer.ingest.cluster.request import ReadBy
    from importer.ingest.executors import Executors
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from importer.release.job import ReleaseJob
    from importer.release.plan import PartPlan
    from importer.repo.writer import Repo
    from layers.errors import Fault
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True)
class Gathered:
    """Images by component, and the commits of their layers by id.

    `faults` are the errors of the other components. `fetched` are the ids of the layers that the
    repo lacked. `written_bytes` were added to the repo. `readers` are a cluster's workers, by the
    ids of the layers that they read.
    """

    images: Mapping[str, Image]
    layers: Mapping[str, LayerCommit]
    fetched: frozenset[str]
    faults: Mapping[str, Fault]
    written_bytes: int
    readers: Mapping[str, ReadBy]


def gather(
    job: ReleaseJob,
    repo: Repo,
    plan: PartPlan,
    blobs: Blobs,
    before: Set[str],
    progress: Progress,
    allowance: Allowance,
    executors: Executors,
) -> Gathered:
    """Import the plan's missing layers, except the ids in `before`, which an earlier architecture
    of the release has imported since."""
    missing = [one for one in plan.layers.missing if one.layer.id not in before]
    told = ComponentProgress(progress, plan.images, missing)
    broken, written, readers = (
        _import(job, repo, missing, blobs, told, allowance, executors) if missing else ({}, 0, {})
    )
    faults = {**plan.faults, **_faults(plan.images, broken)}
    images = {name: image for name, image in plan.images.items() if name not in faults}
    ids = {layer.id for image in images.values() for layer in image.layers}
    whole = replace(
        plan.layers,
        missing=tuple(one for one in plan.layers.missing if one.layer.id in ids),
        cached={one: found for one, found in plan.layers.cached.items() if one in ids},
    )
    layers = whole.after(repo)
    fetched = frozenset(one.layer.id for one in missing) - broken.keys()
    tell_left_out(layers, fetched, progress)
    return Gathered(images, layers, fetched, faults, written, readers)


def _import(
    job: ReleaseJob,
    repo: Repo,
    missing: Sequence[MissingLayer],
    blobs: Blobs,
    progress: Progress,
    allowance: Allowance,
    executors: Executors,
) -> tuple[Mapping[str, Fault], int, Mapping[str, ReadBy]]:
    """Import the layers. Return the faults by layer id, the bytes added to the repo, and a
    cluster's workers by the layers that they read."""
    # A release with nothing new does not load what reads layers.
    from importer.ingest.import_layers import import_layers

    target = job.target
    executor = executors.make(blobs, target.layer_options, allowance)
    budget = executors.budget(target.budget, missing)
    broken, written = import_layers(repo, missing, executor, budget, progress, keep_going=True)
    return broken, written, executor.readers


def _faults(images: Mapping[str, Image], broken: Mapping[str, Fault]) -> dict[str, Fault]:
    """Return a fault for each image with failed layers: the one of the lowest such layer."""
    found = {}
    for name, image in images.items():
        fault = next((broken[one.id] for one in image.layers if one.id in broken), None)
        if fault is not None:
            found[name] = fault
    return found
