"""All images of a release into the repo, going on where one of them cannot be had."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from importer.cache.batch import LayerGroup
from importer.cache.layer import LayerCommit, check_devices, find_layer
from importer.commit.images import found_layers
from importer.ingest.fetch_layer import fetch_layer
from importer.ingest.scheduler import LayerPool
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from importer.fetch.blobs import Blobs
    from importer.ingest.worker_pool import Readers
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.release.release import Component
    from layers.storage.image import Image, ImageLayer
    from layers.tree.read_layer import LayerOptions, ReadLayer

# Manifests that are asked for at once: short answers, for which nearly all time is waiting.
_QUESTIONS = 4


@dataclass(slots=True)
class Gathered:
    """Images by component, with the commits of their layers; `faults` says why others are not
    there. `fetched` are the ids of the layers that were not here before."""

    images: dict[str, Image] = field(default_factory=dict)
    layers: dict[str, LayerCommit] = field(default_factory=dict)
    fetched: set[str] = field(default_factory=set)
    faults: dict[str, Fault] = field(default_factory=dict)
    written_bytes: int = 0


@dataclass(slots=True)
class _Wanted:
    layer: ImageLayer
    sources: list[str]  # any of which has the blob
    written_bytes: int = 0


def resolve_all(
    components: Iterable[Component], resolve: Callable[[Component], Image]
) -> tuple[dict[str, Image], dict[str, Fault]]:
    """Each component's image, or why there is none; each is asked for."""
    with ThreadPoolExecutor(_QUESTIONS, thread_name_prefix="resolve") as pool:
        asked = {one.name: pool.submit(resolve, one) for one in components}
    faults = _faults(asked)
    return {name: one.result() for name, one in asked.items() if name not in faults}, faults


def _faults[K, T](futures: Mapping[K, Future[T]]) -> dict[K, Fault]:
    """Those that were expected; any other error is raised."""
    found: dict[K, Fault] = {}
    for name, future in futures.items():
        try:
            future.result()
        except Fault as fault:
            found[name] = fault
    return found


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Imports layers into `repo`, from where `blobs` has them."""

    repo: Repo
    blobs: Blobs
    options: LayerOptions
    progress: Progress

    def gather(
        self, components: Iterable[Component], resolve: Callable[[Component], Image]
    ) -> Gathered:
        """Resolve all, and import the layers that are missing."""
        images, faults = resolve_all(components, resolve)
        found = Gathered(faults=faults)
        wanted: dict[str, _Wanted] = {}
        for name, image in images.items():
            try:
                self._want(image, wanted)
            except Fault as unwanted:
                faults[name] = unwanted
        broken = self._import(wanted, found)
        for name, image in images.items():
            fault = next((broken[one.id] for one in image.layers if one.id in broken), None)
            if fault is not None:
                faults.setdefault(name, fault)
            if name not in faults:
                found.images[name] = image
        found.layers = found_layers(self.repo, found.images.values())
        found.fetched = set(wanted) - broken.keys()
        return found

    def _want(self, image: Image, wanted: dict[str, _Wanted]) -> None:
        """Note the layers of the image that are not here; LayerError if one cannot be taken."""
        for layer in image.layers:
            _ = layer.available_compression  # an unknown media type is found before it is fetched
        for layer in image.layers:
            found = find_layer(self.repo, layer.id)
            if found is not None and found.verified:
                check_devices(layer, found, self.options.device_nodes)
            else:
                sources = wanted.setdefault(layer.id, _Wanted(layer, [])).sources
                if image.source not in sources:
                    sources.append(image.source)

    def _import(self, wanted: Mapping[str, _Wanted], found: Gathered) -> dict[str, Fault]:
        """Several at once; what went wrong, by layer."""
        with LayerPool(lambda: LayerGroup(self.repo.again())) as pool:
            for one in wanted.values():
                pool.submit(one.layer, one.layer.available.size, partial(self._read, one))
        read_bytes = sum(one.written_bytes for one in wanted.values())
        found.written_bytes = read_bytes + pool.written_bytes
        return _faults(pool.done)

    def _read(self, wanted: _Wanted, readers: Readers, found: Callable[[ReadLayer], None]) -> None:
        """From the first repository that has it: images may share a layer, and one of their
        repositories be broken."""
        *others, last = wanted.sources
        for source in others:
            try:
                return self._fetch(source, wanted, readers, found)
            except Fault as fault:
                self.progress.message(f"{fault}; another repository has it, too")
        return self._fetch(last, wanted, readers, found)

    def _fetch(
        self, source: str, wanted: _Wanted, readers: Readers, found: Callable[[ReadLayer], None]
    ) -> None:
        wanted.written_bytes = fetch_layer(
            self.repo, self.blobs, source, wanted.layer, self.options, readers, found
        )
