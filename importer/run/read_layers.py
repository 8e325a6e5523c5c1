"""Read the missing layers of a plan into the repo; one that fails takes its images along."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import replace
from typing import TYPE_CHECKING

from importer.cache.left_out import tell_left_out
from layers.errors import LayerError
from layers.frozen import frozen
from layers.storage.image import short_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    from importer.cache.layer import LayerCommit
    from importer.commit.plan import Plan, PlannedBranch, PlannedPart
    from importer.commit.target import Target
    from importer.ingest.budget import Allowance
    from importer.ingest.executor import MakeExecutor, ReadBy
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.errors import Fault
    from layers.storage.artifact import ResolvedArtifact
    from layers.storage.image import Image


@frozen
class PartRead:
    """A part of a plan whose layers are read.

    `part` has the images whose layers are here, `layers` are the commits of these by layer id.
    `fetched` are the ids of the layers that the repo lacked. `written_bytes` were added to the
    repo, `read_bytes` were fetched, or read from a store. `readers` are a cluster's workers, by the
    ids of the layers that they read.
    """

    part: PlannedPart
    layers: Mapping[str, LayerCommit]
    fetched: frozenset[str]
    written_bytes: int
    read_bytes: int
    readers: Mapping[str, ReadBy]


def read_layers(
    target: Target, repo: Repo, plan: Plan, make_executor: MakeExecutor, progress: Progress
) -> list[PartRead]:
    """Read the layers of all parts. A component of a release whose layer fails is left out, with
    its fault; any other image's fault is raised."""
    from importer.ingest.budget import Allowance

    several = len({branch.arch for branch in plan.branches}) > 1
    reader = _PartReader(target, repo, make_executor, Allowance(target.total), progress, several)
    parts: list[PartRead] = []
    for part in plan.parts:
        parts.append(reader.read(part, frozenset().union(*(read.fetched for read in parts))))
    return parts


def all_layers(parts: Sequence[PartRead]) -> Mapping[str, LayerCommit]:
    """Return the layers of all parts by id."""
    return ChainMap(*(dict(part.layers) for part in parts))


@frozen
class _PartReader:
    """Reads the layers of one part after the other."""

    target: Target
    repo: Repo
    make_executor: MakeExecutor
    allowance: Allowance
    progress: Progress
    several: bool  # architectures

    def read(self, part: PlannedPart, here: Set[str]) -> PartRead:
        """Read the part's missing layers, except the ids in `here`, which another part has read."""
        missing = [layer for layer in part.layers.missing if layer.layer.id not in here]
        ids = [layer.layer.id for layer in missing]
        broken, written, size, readers = self._import(part, missing)
        whole = _without(part, broken)
        layers, before = whole.layers.after(self.repo), part.layers.unverified
        fetched = frozenset(i for i in ids if i in layers and layers[i] != before.get(i))
        tell_left_out(layers, fetched, self.progress)
        blobs = part.blobs.fetched_bytes if part.blobs is not None else 0
        return PartRead(whole, layers, fetched, written, size + blobs, readers)

    def _import(
        self, part: PlannedPart, missing: Sequence[MissingLayer]
    ) -> tuple[Mapping[str, Fault], int, int, Mapping[str, ReadBy]]:
        """Read the layers. Return the faults by layer id, the bytes added to the repo, the bytes
        read without a blob, and a cluster's workers by the layers that they read."""
        if not missing:
            return {}, 0, 0, {}
        keeps_going = any(branch.release is not None for branch in part.branches)
        _announce(_named(part, several=self.several), missing, self.progress)
        # An import that finds nothing new does not load what reads layers.
        from importer.ingest.import_layers import import_layers

        executor = self.make_executor(part.blobs, self.target.layer_options, self.allowance)
        budget = executor.budget(self.target.budget)
        try:
            broken, written = import_layers(
                self.repo, missing, executor, budget, self.progress, keep_going=keeps_going
            )
        except LayerError as error:
            raise error.within(image=_image_of(error.digest, part.images)) from None
        return broken, written, executor.read_bytes, executor.readers


def _image_of(blob: str, images: Sequence[Image]) -> str:
    """Return the reference of the first of several images that has the blob, "" for none."""
    has = (str(i.reference) for i in images for layer in i.layers if str(layer.blob.digest) == blob)
    return next(has, "") if len(images) > 1 else ""


def _without(part: PlannedPart, broken: Mapping[str, Fault]) -> PlannedPart:
    """Return the part without the components that have a broken layer."""
    if not broken and not any(branch.faults for branch in part.branches):
        return part
    branches = tuple(branch.without(_faults(branch, broken)) for branch in part.branches)
    images = tuple(image for branch in branches for image in branch.images)
    ids = {layer.id for image in images for layer in image.layers}
    return replace(part, branches=branches, images=images, layers=part.layers.only(ids))


def _faults(branch: PlannedBranch, broken: Mapping[str, Fault]) -> dict[str, Fault]:
    """Return a fault for each component with failed layers: the one of the lowest such layer."""
    faults = {name: _fault(image, broken) for name, image in branch.by_component.items()}
    return {name: fault for name, fault in faults.items() if fault is not None}


def _fault(image: Image, broken: Mapping[str, Fault]) -> Fault | None:
    return next((broken[layer.id] for layer in image.layers if layer.id in broken), None)


def _announce(
    named: Iterable[tuple[str, Image | ResolvedArtifact]],
    missing: Sequence[MissingLayer],
    progress: Progress,
) -> None:
    names = {layer.layer.id: layer.name for layer in missing}
    for name, image in named:
        layers = dict.fromkeys(layer.id for layer in image.layers)
        read = [names[layer_id] for layer_id in layers if layer_id in names]
        if read:
            progress.image(name, read, len(layers) - len(read))


def _named(part: PlannedPart, *, several: bool) -> Iterable[tuple[str, Image | ResolvedArtifact]]:
    """Return each image with the name of its component, or its own in short; and each artifact.
    With `several` architectures, a component has that, too."""
    releases = [branch for branch in part.branches if branch.release is not None]
    if not releases:
        named = zip(short_names(part.images), part.images, strict=True)
        others = ((artifact.short_label, artifact) for artifact in part.artifacts)
        return [*named, *others]
    return [
        (f"{name} ({branch.arch})" if several else name, image)
        for branch in releases
        for name, image in branch.by_component.items()
    ]
