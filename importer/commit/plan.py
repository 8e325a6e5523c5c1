"""Plan an import: --dry-run prints the plan, an import executes it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from importer.cache.layer import check_devices, find_layer, head_layer
from importer.errors import ImporterError
from importer.files.scratch import scratch
from importer.ingest.missing_layer import BlobOrigin, MissingLayer
from importer.repo.writer import Repo
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
    from pathlib import Path

    from importer.cache.layer import LayerCommit
    from importer.fetch.blobs import Blobs
    from importer.ingest.missing_layer import Origin
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit
    from layers.errors import Fault
    from layers.limits import DeviceNodes
    from layers.release.release import Release
    from layers.storage.artifact import ResolvedArtifact
    from layers.storage.image import Image, ImageLayer
    from layers.storage.layer_id import StoreKind

_log = logging.getLogger(__name__)


@frozen
class PlannedBranch:
    """A branch and the images to commit to it.

    `head` is the branch's commit now, if there is one. `base` is the operating system's commit
    that the store goes into, if there is one. `kind` is the kind of the store. `release` has the
    components that were found, `components` their names in the order of the images, `faults` the
    errors of the others. `kept` are images of earlier releases, `artifacts` go beside the images.
    """

    name: str
    images: tuple[Image, ...]
    head: Commit | None
    base: Base | None
    kind: StoreKind
    release: Release | None = None
    components: tuple[str, ...] = ()
    faults: Mapping[str, Fault] = MappingProxyType({})
    kept: tuple[Image, ...] = ()
    artifacts: tuple[ResolvedArtifact, ...] = ()

    def document(self) -> dict[str, object]:
        return {
            "branch": self.name,  # the branch
            "commit": self.head.checksum if self.head else None,  # its commit now, or `null`
            # the commit of the operating system, or `null`
            "base": self.base.commit.checksum if self.base else None,
        }

    @property
    def arch(self) -> str:
        """Return a release's architecture, "" if it has none."""
        return self.release.arch if self.release is not None else ""

    @property
    def named(self) -> tuple[Image | ResolvedArtifact, ...]:
        """Return the images and artifacts that the commit's message names."""
        return (*self.images, *self.artifacts)

    @property
    def stored(self) -> tuple[Image, ...]:
        """Return all images of the store."""
        return self.images + self.kept

    @property
    def by_component(self) -> dict[str, Image]:
        return dict(zip(self.components, self.images, strict=True))

    def without(self, faults: Mapping[str, Fault]) -> PlannedBranch:
        """Return a release's branch without the components of these faults."""
        from layers.release.source_link import resolved

        left = {name: image for name, image in self.by_component.items() if name not in faults}
        return replace(
            self,
            images=tuple(left.values()),
            components=tuple(left),
            faults={**self.faults, **faults},
            release=resolved(self.release, left) if self.release is not None else None,
        )


@frozen
class LayerPlan:
    """The layers of some images: those to be read, parents before children, and those that the
    repo has, by layer id. `unverified` are those to be read that the repo has unverified."""

    missing: tuple[MissingLayer, ...]
    cached: Mapping[str, LayerCommit]
    unverified: Mapping[str, LayerCommit]

    @property
    def size(self) -> int:
        """Return the bytes that there are to read."""
        return sum(missing.size for missing in self.missing)

    def after(self, repo: Repo) -> dict[str, LayerCommit]:
        """Return the commits of all layers by layer id, once the missing ones are imported.

        Raise ImporterError if a branch has gone meanwhile.
        """
        made = {missing.layer.id: head_layer(repo, missing.layer.id) for missing in self.missing}
        return {**self.cached, **made}

    def only(self, ids: Set[str]) -> LayerPlan:
        """Return the plan of these layers."""
        missing = tuple(missing for missing in self.missing if missing.layer.id in ids)
        cached = {key: layer for key, layer in self.cached.items() if key in ids}
        return replace(self, missing=missing, cached=cached)


@frozen
class PlannedPart:
    """Images of one platform and their layers. `blobs` fetches the layers; None if all are on this
    machine. `branches` is empty where only the layers are wanted."""

    blobs: Blobs | None
    images: tuple[Image, ...]
    branches: tuple[PlannedBranch, ...]
    layers: LayerPlan

    @property
    def artifacts(self) -> tuple[ResolvedArtifact, ...]:
        return tuple(artifact for branch in self.branches for artifact in branch.artifacts)


@frozen
class Plan:
    """An import to execute. Everything is resolved and decided."""

    parts: tuple[PlannedPart, ...]

    @property
    def branches(self) -> tuple[PlannedBranch, ...]:
        return tuple(branch for part in self.parts for branch in part.branches)


class LayerPlanner:
    """Finds out which layers of images are missing; each layer is looked up once."""

    def __init__(self, repo: Repo, device_nodes: DeviceNodes) -> None:
        self._repo = repo
        self._device_nodes = device_nodes
        self._found: dict[str, LayerCommit | None] = {}
        self._cached: dict[str, LayerCommit] = {}
        self._missing: dict[str, MissingLayer] = {}

    def found(self, layer_id: str) -> LayerCommit | None:
        """Return the layer as the repo has it, verified or not; None if it has none."""
        if layer_id not in self._found:
            self._found[layer_id] = find_layer(self._repo, layer_id)
        return self._found[layer_id]

    def add(self, image: Image | ResolvedArtifact, origins: Sequence[Origin] | None = None) -> None:
        """Add the layers of an image, or the blobs of an artifact, all of them or none.

        `origins` has one for each layer, base first; without it the layers are blobs that skopeo
        finds in the image. Raise LayerError if one of the layers cannot be taken.
        """
        for layer in image.layers:
            if not layer.is_file:
                _ = layer.available_compression  # raises LayerError for an unknown media type
        places = origins or [BlobOrigin(image.source, layer.available) for layer in image.layers]
        wanted = [pair for pair in zip(image.layers, places, strict=True) if self._want(pair[0])]
        for layer, origin in wanted:
            self._note(layer, origin)

    def _want(self, layer: ImageLayer) -> bool:
        """Return whether to import the layer: it is missing, or not verified, so it may have
        changed since."""
        commit = self.found(layer.id)
        if commit is None or not commit.verified:
            return True
        _log.debug("layer %s is here already", layer.id)
        check_devices(layer, commit, self._device_nodes)
        self._cached[layer.id] = commit
        return False

    def _note(self, layer: ImageLayer, origin: Origin) -> None:
        missing = self._missing.get(layer.id)
        if missing is None:
            self._missing[layer.id] = MissingLayer(layer, (origin,))
        else:
            origins = tuple(dict.fromkeys((*missing.origins, origin)))
            self._missing[layer.id] = MissingLayer(missing.layer, origins, missing.waiting + 1)

    def plan(self) -> LayerPlan:
        """Return the plan for all layers so far. What most images wait for comes first; a parent
        has at least as many as its children, so it still comes before them."""
        missing = sorted(self._missing.values(), key=lambda one: -one.waiting)
        found = {layer.layer.id: self._found[layer.layer.id] for layer in missing}
        unverified = {key: layer for key, layer in found.items() if layer is not None}
        return LayerPlan(tuple(missing), dict(self._cached), unverified)


def check_names(images: Iterable[Image | ResolvedArtifact], what: str = "images") -> None:
    """Raise ImporterError if two images, or other `what`, of a store would have the same name."""
    owners: dict[str, Image | ResolvedArtifact] = {}
    for image in images:
        for name in image.names:
            other = owners.setdefault(name, image)
            if other.id != image.id:
                raise ImporterError(
                    f"two {what} would have the name {name}:"
                    f" {other.reference} ({other.id[:12]}) and {image.reference} ({image.id[:12]})",
                    hint="leave one of them out, or give it another name",
                )


@contextmanager
def repo_to_plan_with(path: Path) -> Iterator[Repo]:
    """Yield the repo at `path`, which is only read, or a temporary empty repo if there is none."""
    if not Repo.is_absent(path):
        yield Repo.open(path)
        return
    with scratch() as directory:
        yield Repo.open(directory / "repo", create=True)
