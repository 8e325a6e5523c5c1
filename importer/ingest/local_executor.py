"""Read layers and store their files in processes of this machine."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.ingest.budget import processors
from importer.ingest.job import Sealed
from importer.ingest.missing_layer import Origins
from importer.ingest.spool import SpooledBlob
from importer.repo.libostree import faults
from importer.workers.pool import Workers
from importer.workers.tasks import lent_worker, run_job
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.fetch.blobs import Blobs
    from importer.ingest.budget import Allowance, Budget
    from importer.ingest.executor import ReadBy
    from importer.ingest.missing_layer import MissingLayer, OnRead, Origin
    from importer.progress import Advance, Progress
    from importer.repo.writer import Repo
    from importer.workers.job import Job
    from importer.workers.pool import Worker
    from layers.limits import LayerOptions
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import ReadLayer

# Bytes of a layer's blob that this process reads in less time than another process takes to start.
# Both are a processor's work, so that the bound holds on slow and fast machines: an image of one
# layer of 2 MB takes 0.78 of its time with a worker, one of 17 MB 0.91 (tried on 2 processors).
_SMALL = 2 << 20


class LocalExecutor:
    """An `Executor` of processes on this machine, each of which reads one layer at a time."""

    def __init__(
        self,
        repo: Repo,
        blobs: Blobs | None,
        options: LayerOptions,
        progress: Progress,
        allowance: Allowance,
    ) -> None:
        """`blobs` fetches blobs; None if every layer is on this machine."""
        self._repo = repo
        self._blobs = blobs
        self._progress = progress
        self._origins = Origins(options, allowance, progress)
        self._workers = Workers(Sealed.__module__)
        self._reading_here = threading.Lock()
        self._lock = threading.Lock()
        self.read_bytes = 0  # of layers that are on this machine
        self.readers: dict[str, ReadBy] = {}  # a cluster's workers: none

    def budget(self, asked: Budget) -> Budget:
        return asked

    def close(self) -> None:
        self._workers.close()

    def stop(self) -> None:
        self._origins.stopped.set()
        if self._blobs is not None:
            self._blobs.close()

    def fetch(self, missing: MissingLayer, into: SpooledBlob) -> None:
        self._fetch(missing.name, missing.origins[0], into)

    def _fetch(self, name: str, origin: Origin, into: SpooledBlob) -> None:
        try:
            if self._blobs is None or origin.blob is None:
                raise ImporterError(f"{origin.source} has no blob to fetch")
            with (
                self._blobs.pipe(origin.source, origin.blob, name) as (pipe, advance),
                faults("spooling a blob"),
            ):
                into.fill(pipe, self._blobs.timeout, advance, origin.blob.size)
        except BaseException as error:
            into.end(error)
        else:
            into.end()

    def store(self, missing: MissingLayer, blob: SpooledBlob | None, on_read: OnRead) -> int:
        spooled = [blob] if blob is not None else []
        return self._origins.try_each(missing, partial(self._store, missing, spooled), on_read)

    def _store(
        self,
        missing: MissingLayer,
        spooled: list[SpooledBlob],
        origin: Origin,
        options: LayerOptions,
        on_read: OnRead,
    ) -> int:
        """Store the layer from this origin. A spooled blob is for the first attempt only; a retry
        fetches the whole blob again before it is read."""
        layer, timeout = missing.layer, self._blobs.timeout if self._blobs is not None else inf
        job = origin.job(layer, options, timeout)
        if origin.blob is None or self._blobs is None:
            read = partial(self._read_here, missing, origin, job)
            return self._in_transaction(layer, read, on_read)

        def stored(blob: SpooledBlob) -> int:
            read = partial(self._read_spooled, origin, job, blob)
            return self._in_transaction(layer, read, on_read)

        def attempt() -> int:
            if spooled:
                return stored(spooled.pop())
            with closing(self._fetched(missing.name, origin)) as blob:
                return stored(blob)

        return self._blobs.retrying(attempt, ", from the start of the blob")

    def _fetched(self, name: str, origin: Origin) -> SpooledBlob:
        blob = SpooledBlob(self._repo.path / "tmp")
        self._fetch(name, origin, blob)
        return blob

    def _in_transaction(
        self, layer: ImageLayer, read: Callable[[Repo], ReadLayer], on_read: OnRead
    ) -> int:
        """Store a layer's files in a transaction of their own; they are durable on return.

        The caller keeps the repo locked until the layer has its branches: see
        `importer.cache.batch.LayerGroup`.
        """
        own = self._repo.again()
        try:
            with own.transaction():
                on_read(read(own))
        except Fault as error:
            raise error.within(digest=str(layer.blob.digest)) from None
        return own.written_bytes

    def _read_spooled(
        self, origin: Origin, job: Job[ReadLayer], blob: SpooledBlob, repo: Repo
    ) -> ReadLayer:
        with self._reader(repo, origin) as worker, blob.reading() as descriptor:
            return self._run(repo, worker, job, descriptor, lambda _count: None)

    def _read_here(
        self, missing: MissingLayer, origin: Origin, job: Job[ReadLayer], repo: Repo
    ) -> ReadLayer:
        try:
            with (
                self._progress.blob(missing.name, origin.size) as advance,
                self._reader(repo, origin) as worker,
            ):
                counted = partial(self._count, advance)
                return self._run(repo, worker, job, -1, counted)
        except Fault as error:
            raise error.within(digest=f"layer {missing.layer.diff_id}") from None

    def _count(self, advance: Advance, size: int) -> None:
        if self._origins.stopped.is_set():
            raise ImporterError("stopped, since another layer failed")
        with self._lock:
            self.read_bytes += size
        advance(size)

    @contextmanager
    def _reader(self, repo: Repo, origin: Origin) -> Iterator[Worker | None]:
        """Lend a process, or yield None for a layer that this process reads: a small one, unless
        another process is idle, or this one reads a layer already."""
        small = 0 < origin.size <= _SMALL and not self._workers.has_idle
        if small and self._reading_here.acquire(blocking=False):
            try:
                yield None
            finally:
                self._reading_here.release()
        else:
            with lent_worker(repo, self._workers) as worker:
                yield worker

    def _run(
        self, repo: Repo, worker: Worker | None, job: Job[ReadLayer], source: int, advance: Advance
    ) -> ReadLayer:
        """Read a layer, and where objects need no libostree, write the directories that no lower
        layer can change. Without a `worker`, this process reads the layer."""
        job = Sealed(job) if repo.writes_beside else job
        return run_job(repo, worker, job, source, advance, partial(self._publish_early, repo))

    def _publish_early(self, repo: Repo, directory: str) -> None:
        """Move objects into the repo while others are written, if a processor is idle. Otherwise
        all would be slower: processes that change one file system hinder each other."""
        if self._workers.busy < processors():
            repo.publish_early(directory)
