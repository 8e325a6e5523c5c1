"""Wait for a cluster's workers, check each of them, and watch whether they stay."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from importer.cluster.messages import decoded_proof, of_worker
from importer.errors import ClusterError, ImporterError
from importer.repo.libostree import faults
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from importer.cluster.address import Cluster
    from importer.cluster.agreement import Agreement
    from importer.cluster.dask import Dask
    from importer.progress import Progress

# Seconds between two looks at the list of workers.
_LOOK = 1.0


class Members:
    def __init__(self, cluster: Cluster, dask: Dask, progress: Progress) -> None:
        self._cluster = cluster
        self._dask = dask
        self._progress = progress
        self._over = threading.Event()

    def close(self) -> None:
        self._over.set()

    def first(self) -> int:
        """Wait for the first workers. Return the number of their threads.

        Raise ClusterError if no worker comes within the cluster's `wait`.
        """
        deadline = time.monotonic() + self._cluster.wait
        threads = self._dask.workers()
        if not threads:
            self._tell("no worker yet")
        while not threads:
            if time.monotonic() > deadline:
                raise self._none()
            time.sleep(_LOOK)
            threads = self._dask.workers()
        dashboard = self._dask.dashboard
        self._tell(_counted(threads) + (f"; dashboard {dashboard}" if dashboard else ""))
        return sum(threads.values())

    def prove(self, agreement: Agreement) -> None:
        """Have each worker check the agreement. Raise ImporterError if one of them fails."""
        from importer.cluster.task import prove

        answers = self._dask.everywhere(partial(prove, agreement))
        for worker, answer in sorted(answers.items()):
            try:
                agreement.prove(_proof(answer))
            except Fault as fault:
                raise of_worker(fault, worker) from None

    def watch(self, fail: Callable[[ImporterError], None]) -> None:
        """Report, from a thread of its own and until `close`, that workers come or go.

        Call `fail` if there is no worker for longer than the cluster's `wait`, or if the scheduler
        is lost.
        """
        threading.Thread(target=self._watch, args=(fail,), name="workers", daemon=True).start()

    def _watch(self, fail: Callable[[ImporterError], None]) -> None:
        before: Mapping[str, int] | None = None
        seen = time.monotonic()
        while not self._over.wait(_LOOK):
            try:
                threads = self._dask.workers()
            except ClusterError as error:
                return fail(error)
            if before is not None and threads.keys() != before.keys():
                self._tell(f"{_counted(threads)} now")
            before = threads
            if threads:
                seen = time.monotonic()
            elif time.monotonic() > seen + self._cluster.wait:
                return fail(self._none())
        return None

    def _tell(self, text: str) -> None:
        self._progress.message(f"cluster {self._cluster.address}: {text}")

    def _none(self) -> ClusterError:
        address = self._cluster.address
        message = f"cluster {address} has had no worker for {self._cluster.wait:g} s"
        start = "try a smaller N" if address.workers else "start one with `dask worker ADDRESS`"
        return ClusterError(message, hint=f"{start}, or wait longer with --cluster-wait")


def _proof(answer: bytes | BaseException) -> str:
    """Return the name of a worker's proof. Raise the error that the worker sent; any other error
    means that the worker could not load import-image."""
    if isinstance(answer, BaseException):
        hint = "install import-image there, in the version that runs here"
        raise ImporterError(f"import-image cannot be loaded: {str(answer)[:200]}", hint=hint)
    proof = decoded_proof(answer)
    if isinstance(proof, str):
        return proof
    with faults("writing files"):
        raise proof.error


def _counted(threads: Mapping[str, int]) -> str:
    workers, layers = len(threads), sum(threads.values())
    plural = "" if workers == 1 else "s"
    return f"{workers} worker{plural} for {layers} layer{'' if layers == 1 else 's'} at once"
