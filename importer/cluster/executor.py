"""Have layers read by the workers of a cluster, and move their files into the repo."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cache, partial
from math import inf
from typing import TYPE_CHECKING

from importer.cluster.messages import Download, WantedLayer, WorkerAnswer, of_worker
from importer.cluster.session import Bar, ClusterSession
from importer.errors import ImporterError
from importer.ingest.executor import ReadBy
from importer.ingest.missing_layer import Origins
from importer.repo.libostree import faults
from layers.errors import Fault, LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.cluster.address import Address, Cluster
    from importer.cluster.messages import Refusal
    from importer.fetch.blobs import Blobs
    from importer.fetch.skopeo import Skopeo
    from importer.ingest.budget import Allowance, Budget
    from importer.ingest.executor import Executor, MakeExecutor
    from importer.ingest.missing_layer import MissingLayer, OnRead, Origin
    from importer.ingest.spool import SpooledBlob
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.limits import LayerOptions


# How many workers try to read a layer before the import fails. (For workers that die meanwhile,
# Dask has a number of its own: distributed.scheduler.allowed-failures.)
_WORKERS = 3
# A layer's priority is its size, and a terabyte more for each image that waits for it: the number
# of images decides before the size.
_TERABYTE = 1 << 40


class ClusterExecutor:
    """An `importer.ingest.executor.Executor` of workers on other machines."""

    def __init__(
        self,
        session: ClusterSession,
        skopeo: Skopeo | None,
        blobs: Blobs | None,
        options: LayerOptions,
        progress: Progress,
        allowance: Allowance,
    ) -> None:
        """`skopeo` has the workers' options, `blobs` counts the bytes that they fetch; None if no
        layer has a blob, as in an existing store."""
        self._session = session
        self._blobs = blobs
        self._skopeo = skopeo
        self._progress = progress
        self._origins = Origins(options, allowance, progress)
        self._lock = threading.Lock()
        self.read_bytes = 0  # of layers of a store
        self.readers: dict[str, ReadBy] = {}

    def budget(self, asked: Budget) -> Budget:
        """See `Executor`: as much as the cluster can take."""
        return replace(asked, downloads=0, jobs=self._session.layers)

    def close(self) -> None:
        """See `Executor`. The session stays open for the release's other architectures."""

    def stop(self) -> None:
        self._origins.stopped.set()
        self._session.stop()

    def fetch(self, missing: MissingLayer, into: SpooledBlob) -> None:
        """See `Executor`. Nothing is spooled here, since each worker fetches its own blobs."""
        into.end(ImporterError(f"{missing.name} is fetched by a worker"))

    def store(self, missing: MissingLayer, blob: SpooledBlob | None, on_read: OnRead) -> int:  # noqa: ARG002
        return self._origins.try_each(missing, partial(self._store, missing), on_read)

    def _store(
        self, missing: MissingLayer, origin: Origin, options: LayerOptions, on_read: OnRead
    ) -> int:
        """Have a worker read the layer, and move its files into the repo.

        The worker has made the files durable. The moves become durable with the transaction that
        writes the layer's tree.
        """
        bar = Bar(self._progress, missing.name, missing.size)
        self._session.bars.add(missing.layer.id, bar)
        try:
            answer, written = self._read(missing, self._wanted(missing, origin, options))
            bar.end(answer.read_bytes)
        except Fault as fault:
            raise fault.within(digest=_digest(missing, origin)) from None
        finally:
            bar.end()
        self._note(missing, answer)
        on_read(answer.layer)
        return written

    def _wanted(self, missing: MissingLayer, origin: Origin, options: LayerOptions) -> WantedLayer:
        timeout = self._skopeo.timeout if self._skopeo is not None else inf
        download = None
        if self._skopeo is not None and origin.blob is not None:
            download = Download(self._skopeo, origin.source, origin.blob)
        job = origin.job(missing.layer, options, timeout)
        priority = missing.waiting * _TERABYTE + missing.size
        return WantedLayer(missing.layer.id, job, download, missing.size, priority)

    def _read(self, missing: MissingLayer, wanted: WantedLayer) -> tuple[WorkerAnswer, int]:
        """Have a worker read the layer, and take its files. If that fails, try other workers.

        Return the answer, and the bytes of new files.
        """
        tried: list[str] = []
        others: set[str] | None = None
        while True:
            with self._session.read(wanted, others) as answer:
                try:
                    return self._taken(answer)
                except LayerError:
                    raise  # the image's own fault is the same on any worker
                except Fault as error:
                    fault = of_worker(error, answer.worker)
            tried.append(answer.worker)
            others = self._session.others(tried)
            if not others or len(tried) == _WORKERS:
                raise fault
            self._progress.message(f"{missing.name}: {fault}; another worker tries it")

    def _taken(self, answer: WorkerAnswer | Refusal) -> tuple[WorkerAnswer, int]:
        """Move the files into the repo. Raise the worker's error if it could not read the layer."""
        if isinstance(answer, WorkerAnswer):
            with faults("moving files into the repo"):
                return answer, self._session.take(answer)
        with faults("writing files"):
            raise answer.error

    def _note(self, missing: MissingLayer, answer: WorkerAnswer) -> None:
        with self._lock:
            self.readers[missing.layer.id] = ReadBy(answer.worker, round(answer.seconds, 3))
            if self._blobs is None:
                self.read_bytes += answer.read_bytes
        if self._blobs is not None:
            self._blobs.count(answer.read_bytes)


def _digest(missing: MissingLayer, origin: Origin) -> str:
    """Return the layer's name for errors: its blob's digest, or its diffID if it has no blob."""
    if origin.blob is None:
        return f"layer {missing.layer.diff_id}"
    return str(missing.layer.blob.digest)


@contextmanager
def cluster_executors(cluster: Cluster, repo: Repo, progress: Progress) -> Iterator[MakeExecutor]:
    """Yield a function that makes executors of a cluster. The first call connects to the cluster,
    and raises ImporterError if that fails; the others share the session."""
    with ExitStack() as opened:

        @cache
        def session() -> ClusterSession:
            return opened.enter_context(closing(ClusterSession(cluster, repo, progress)))

        def make(blobs: Blobs | None, options: LayerOptions, allowance: Allowance) -> Executor:
            skopeo = for_workers(blobs.skopeo, cluster.address) if blobs is not None else None
            return ClusterExecutor(session(), skopeo, blobs, options, progress, allowance)

        yield make


def for_workers(skopeo: Skopeo, address: Address) -> Skopeo:
    """Return the options with absolute paths: each worker has these files, at the same paths.

    Raise ImporterError if credentials would cross the network unencrypted, or if the mirrors are
    in a file that only this process has.
    """
    if skopeo.creds is not None and not address.is_encrypted:
        raise ImporterError(
            f"--creds would go to the workers of {address} unencrypted",
            hint="use tls://, or --authfile with a file that each worker has at the same path",
        )
    conf = skopeo.registries_conf
    if conf is not None and conf.startswith("/proc/") and not address.workers:
        raise ImporterError(
            "--registries-conf names mirror sets, which the workers' skopeo cannot read",
            hint="give a containers-registries.conf(5) that each worker has at the same path",
        )
    return replace(
        skopeo,
        authfile=_absolute(skopeo.authfile),
        cert_dir=_absolute(skopeo.cert_dir),
        policy=_absolute(skopeo.policy),
        registries_conf=_absolute(conf),
    )


def _absolute(path: str | None) -> str | None:
    return os.path.abspath(path) if path is not None else None  # noqa: PTH100 - as others have it
