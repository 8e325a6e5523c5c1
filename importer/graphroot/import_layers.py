"""Layers out of somebody's store, several at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from importer.cache.batch import LayerGroup
from importer.errors import ImporterError
from importer.graphroot.job import StoreJob
from importer.ingest.fetch_layer import lent_reader, read_layer, run_job
from importer.ingest.scheduler import LayerPool
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from importer.graphroot.source import SourceLayer
    from importer.ingest.worker_pool import Readers
    from importer.progress import Advance, Progress
    from importer.repo.writer import Repo
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import LayerOptions, ReadLayer


@dataclass(frozen=True, slots=True)
class MissingLayer:
    """A layer to be read. It is `verified` if its tar can be, and those below it are."""

    layer: ImageLayer
    source: SourceLayer
    verified: bool


class SourceReader:
    """Reads layers, several at once; `bytes` counts what the tars of all of them had."""

    def __init__(self, options: LayerOptions, progress: Progress) -> None:
        self._options = options
        self._progress = progress
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.bytes = 0

    def stop(self) -> None:
        """Whoever still reads gets an ImporterError."""
        self._stopped.set()

    def import_layers(self, repo: Repo, missing: Iterable[MissingLayer]) -> None:
        """Import these, parents first; they are in a store, so nothing is tried again."""
        with LayerPool(lambda: LayerGroup(repo.again())) as pool:
            for one in missing:
                pool.submit(one.layer, one.source.size, partial(self._import, repo, one))
            pool.wait(self.stop)

    def _import(
        self, repo: Repo, one: MissingLayer, readers: Readers, found: Callable[[ReadLayer], None]
    ) -> None:
        read_layer(repo.again(), one.layer, partial(self._read, one, readers), found)

    def _read(self, one: MissingLayer, readers: Readers, repo: Repo) -> ReadLayer:
        layer, source = one.layer, one.source
        job = StoreJob(layer, source, one.verified, self._options)
        if source.record is None:
            self._progress.message(
                f"layer {layer.diff_id}: no tar-split record; taken as its directory is, unverified"
            )
        try:
            with (
                self._progress.blob(layer.diff_id.hex[:12], source.size) as advance,
                lent_reader(repo, readers) as reader,
            ):
                return run_job(repo, reader, job, -1, partial(self._count, advance))
        except Fault as error:
            raise error.within(digest=f"layer {layer.diff_id}") from None

    def _count(self, advance: Advance, size: int) -> None:
        if self._stopped.is_set():
            raise ImporterError("stopped, since another layer failed")
        with self._lock:
            self.bytes += size
        advance(size)
