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

    found: list[PartRead] = []
    here: set[str] = set()
    allowance = Allowance(target.total)
    for part in plan.parts:
        found.append(_read(target, repo, part, here, make_executor, allowance, progress))
        here |= found[-1].fetched
    return found


def all_layers(parts: Sequence[PartRead]) -> Mapping[str, LayerCommit]:
    """Return the layers of all parts by id."""
    return ChainMap(*(dict(one.layers) for one in parts))


def _read(
    target: Target,
    repo: Repo,
    part: PlannedPart,
    here: Set[str],
    make_executor: MakeExecutor,
    allowance: Allowance,
    progress: Progress,
) -> PartRead:
    """Read the part's missing layers, except the ids in `here`, which another part has read."""
    missing = [one for one in part.layers.missing if one.layer.id not in here]
    before = {one.layer.id: part.layers.unverified.get(one.layer.id) for one in missing}
    keeps_going = any(branch.release is not None for branch in part.branches)
    if keeps_going:
        progress = ComponentProgress(progress, part.by_component, missing)
    broken, written, read, readers = _import(
        target, repo, part, missing, make_executor, allowance, progress, keeps_going=keeps_going
    )
    whole = _without(part, broken)
    layers = whole.layers.after(repo)
    fetched = frozenset(one for one in before if one in layers and layers[one] != before[one])
    tell_left_out(layers, fetched, progress)
    return PartRead(whole, layers, fetched, written, read, readers)


def _import(
    target: Target,
    repo: Repo,
    part: PlannedPart,
    missing: Sequence[MissingLayer],
    make_executor: MakeExecutor,
    allowance: Allowance,
    progress: Progress,
    *,
    keeps_going: bool,
) -> tuple[Mapping[str, Fault], int, int, Mapping[str, ReadBy]]:
    """Read the layers. Return the faults by layer id, the bytes added to the repo, the bytes read,
    and a cluster's workers by the layers that they read."""
    if not missing:
        return {}, 0, _fetched(part), {}
    # An import that finds nothing new does not load what reads layers.
    from importer.ingest.import_layers import import_layers

    executor = make_executor(part.blobs, target.layer_options, allowance)
    budget = executor.budget(target.budget)
    broken, written = import_layers(
        repo, missing, executor, budget, progress, keep_going=keeps_going
    )
    return broken, written, executor.read_bytes + _fetched(part), executor.readers


def _fetched(part: PlannedPart) -> int:
    return part.blobs.fetched_bytes if part.blobs is not None else 0


def _without(part: PlannedPart, broken: Mapping[str, Fault]) -> PlannedPart:
    """Return the part without the components that have a broken layer."""
    if not broken and not any(branch.faults for branch in part.branches):
        return part
    branches = tuple(one.without(_faults(one, broken)) for one in part.branches)
    images = tuple(image for branch in branches for image in branch.images)
    ids = {layer.id for image in images for layer in image.layers}
    return replace(part, branches=branches, images=images, layers=part.layers.only(ids))


def _faults(branch: PlannedBranch, broken: Mapping[str, Fault]) -> dict[str, Fault]:
    """Return a fault for each component with failed layers: the one of the lowest such layer."""
    found = {name: _fault(image, broken) for name, image in branch.by_component.items()}
    return {name: fault for name, fault in found.items() if fault is not None}


def _fault(image: Image, broken: Mapping[str, Fault]) -> Fault | None:
    return next((broken[one.id] for one in image.layers if one.id in broken), None)


_OVER = ("done", "failed")


class ComponentProgress:
    """A `Progress` that passes everything on, and tells of components. Used by several threads."""

    def __init__(
        self, progress: Progress, images: Mapping[str, Image], missing: Iterable[MissingLayer]
    ) -> None:
        """`images` are the components; `missing` are the layers to be read."""
        self._progress = progress
        self._lock = threading.Lock()
        names = {one.layer.id: one.name for one in missing}
        # By a layer's name: the components that wait for it. By component: how many they are.
        self._waiting: dict[str, set[str]] = defaultdict(set)
        for component, image in images.items():
            for layer in image.layers:
                if layer.id in names:
                    self._waiting[names[layer.id]].add(component)
        self._left = Counter(one for waiting in self._waiting.values() for one in waiting)
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
