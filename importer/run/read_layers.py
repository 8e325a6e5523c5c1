"""Read the missing layers of a plan into the repo; one that fails takes its images along."""

from __future__ import annotations

import threading
from collections import ChainMap, Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from importer.cache.omitted import tell_left_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set
    from contextlib import AbstractContextManager

    from importer.cache.layer import LayerCommit
    from importer.commit.plan import Plan, PlannedBranch, PlannedPart
    from importer.commit.target import Target
    from importer.ingest.budget import Allowance
    from importer.ingest.executor import MakeExecutor, ReadBy
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Advance, Progress
    from importer.repo.writer import Repo
    from layers.errors import Fault
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True)
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

    reader = _PartReader(target, repo, make_executor, Allowance(target.total), progress)
    parts: list[PartRead] = []
    for part in plan.parts:
        parts.append(reader.read(part, frozenset().union(*(read.fetched for read in parts))))
    return parts


def all_layers(parts: Sequence[PartRead]) -> Mapping[str, LayerCommit]:
    """Return the layers of all parts by id."""
    return ChainMap(*(dict(part.layers) for part in parts))


@dataclass(frozen=True, slots=True)
class _PartReader:
    """Reads the layers of one part after the other."""

    target: Target
    repo: Repo
    make_executor: MakeExecutor
    allowance: Allowance
    progress: Progress

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
        progress = self.progress
        keeps_going = any(branch.release is not None for branch in part.branches)
        if keeps_going:
            progress = ComponentProgress(progress, part.by_component, missing)
        if not missing:
            return {}, 0, 0, {}
        # An import that finds nothing new does not load what reads layers.
        from importer.ingest.import_layers import import_layers

        executor = self.make_executor(part.blobs, self.target.layer_options, self.allowance)
        budget = executor.budget(self.target.budget)
        broken, written = import_layers(
            self.repo, missing, executor, budget, progress, keep_going=keeps_going
        )
        return broken, written, executor.read_bytes, executor.readers


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


_OVER = ("done", "failed")


class ComponentProgress:
    """A `Progress` that counts a release's components, and passes everything on. Thread-safe."""

    def __init__(
        self, progress: Progress, images: Mapping[str, Image], missing: Iterable[MissingLayer]
    ) -> None:
        """`images` are the components; `missing` are the layers to be read."""
        self._progress = progress
        self._lock = threading.Lock()
        names = {layer.layer.id: layer.name for layer in missing}
        # By a layer's name: the components that wait for it. By component: how many they are.
        self._waiting: dict[str, set[str]] = defaultdict(set)
        for component, image in images.items():
            for layer in image.layers:
                if layer.id in names:
                    self._waiting[names[layer.id]].add(component)
        self._left = Counter(name for waiting in self._waiting.values() for name in waiting)
        self._total = len(images)
        if names:
            self._tell()

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._progress.message(text)

    def blob(self, name: str, size: int) -> AbstractContextManager[Advance]:
        """See `Progress`."""
        return self._progress.blob(name, size)

    def layer(self, name: str, size: int, state: str) -> None:
        """See `Progress`. Tell of components whose last layer this is."""
        self._progress.layer(name, size, state)
        if state in _OVER:
            with self._lock:
                self._left.subtract(self._waiting.pop(name, set()))
                self._tell()

    def components(self, over: int, total: int) -> None:
        """See `Progress`."""
        self._progress.components(over, total)

    def _tell(self) -> None:
        unfinished = sum(count > 0 for count in self._left.values())
        self._progress.components(self._total - unfinished, self._total)
