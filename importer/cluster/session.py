"""The connection of an import to a cluster, made when the first layer has to be read."""

from __future__ import annotations

import secrets
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.cluster.agreement import Agreement
from importer.cluster.bars import Bars
from importer.cluster.messages import Parcel, Request, decoded
from importer.errors import ClusterError, ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from importer.cluster.address import Address, Cluster
    from importer.cluster.dask import Dask, Running
    from importer.cluster.messages import Refusal, WantedLayer, WorkerAnswer
    from importer.progress import Progress
    from importer.repo.pulled_objects import PulledObjects
    from importer.repo.staging import SharedObjects
    from importer.repo.writer import Repo

# Without --jobs, this many layers are submitted at once: at least _AT_ONCE, so that Dask sees that
# more workers would help, and _AHEAD for each thread, so that no thread waits for a layer.
_AT_ONCE = 64
_AHEAD = 2


def layers_at_once(asked: int | None, threads: int) -> int:
    """Return how many layers to submit at once: as `asked`, or by the workers' `threads`."""
    return asked or max(_AT_ONCE, _AHEAD * threads)


@dataclass(frozen=True, slots=True)
class _SchedulerConnection:
    """The parts of a session that exist once the cluster has answered."""

    dask: Dask
    shared: SharedObjects | None
    pulled: PulledObjects | None
    agreement: Agreement
    layers: int


class ClusterSession:
    """A connection to the cluster, and the directory that workers write to.

    A context manager; the caller keeps the repo locked meanwhile.
    """

    def __init__(self, cluster: Cluster, repo: Repo, progress: Progress) -> None:
        self._cluster = cluster
        self._repo = repo
        self._progress = progress
        self._topic = f"import-image-{secrets.token_hex(8)}"
        self._opened = ExitStack()
        self._connection: _SchedulerConnection | None = None
        self._lock = threading.Lock()
        self._running: set[Running] = set()
        self._failure: ImporterError | None = None
        self.bars = Bars()

    def __enter__(self) -> ClusterSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def address(self) -> Address:
        return self._cluster.address

    def start(self) -> int:
        """Connect, and have each worker prove that it sees the repo. Idempotent.

        Return how many layers to submit at once. Raise ImporterError if a worker has another
        version or does not see the repo, or if no worker comes in time.
        """
        if self._connection is None:
            self._connection = self._connected()
        return self._connection.layers

    def _connected(self) -> _SchedulerConnection:
        try:
            from importer.cluster.dask import Dask
            from importer.cluster.members import Members
        except ModuleNotFoundError as error:
            raise ImporterError(
                f"--cluster needs Dask: {error.name} is not installed",
                hint="pip install 'import-image[cluster]'",
            ) from None
        shared, pulled = self._places()
        dask = Dask(self.address)
        self._opened.callback(dask.close)
        dask.listen(self._topic, self.bars.hear)
        members = Members(self._cluster, dask, self._progress)
        threads = members.first()
        agreement = Agreement.made(shared.directory if shared is not None else None)
        members.prove(agreement)
        members.watch(self._fail)
        self._opened.callback(members.close)
        layers = layers_at_once(self._cluster.layers, threads)
        return _SchedulerConnection(dask, shared, pulled, agreement, layers)

    def _places(self) -> tuple[SharedObjects | None, PulledObjects | None]:
        if self._cluster.collect:
            return None, self._opened.enter_context(self._repo.pulled_objects())
        return self._opened.enter_context(self._repo.shared_objects()), None

    @property
    def _in_use(self) -> _SchedulerConnection:
        if self._connection is None:
            raise RuntimeError("the session is not started")
        return self._connection

    def others(self, workers: Iterable[str]) -> set[str]:
        """Return the addresses of all other workers."""
        return set(self._in_use.dask.workers()) - set(workers)

    @contextmanager
    def read(
        self, wanted: WantedLayer, workers: Iterable[str] | None
    ) -> Iterator[WorkerAnswer | Refusal]:
        """Have a layer read by one of these workers; None stands for any. Yield the answer. The
        worker keeps the layer's files until the context ends.

        Raise ClusterError if the cluster is lost. Raise ImporterError if the session is stopped, or
        if several workers died while they read the layer.
        """
        running = self._submitted(wanted, workers)
        try:
            yield self._result(running)
        finally:
            running.forget()
            with self._lock:
                self._running.discard(running)

    def _result(self, running: Running) -> WorkerAnswer | Refusal:
        try:
            return decoded(running.result())
        except ClusterError as error:
            self._fail(error)
            raise
        except ImporterError:
            if self._failure is not None:
                raise self._failure from None
            raise

    def _submitted(self, wanted: WantedLayer, workers: Iterable[str] | None) -> Running:
        from importer.cluster.task import read_layer

        use = self._in_use
        place = use.shared.place if use.shared is not None else None
        request = Request(wanted, self._topic, use.agreement, place)
        with self._lock:
            if self._failure is not None:
                raise self._failure
            running = use.dask.submit(read_layer, request, wanted.key, wanted.priority, workers)
            self._running.add(running)
        return running

    def take(self, answer: WorkerAnswer) -> int:
        """Move the layer's objects into the repo. Return the bytes of new files.

        Raise OSError if they cannot be moved, ImporterError if they cannot be pulled.
        """
        use, files = self._in_use, answer.files
        if isinstance(files, Parcel):
            assert use.pulled is not None  # noqa: S101 - so it was asked for
            return use.pulled.pull(files.url, files.commit)
        assert use.shared is not None  # noqa: S101 - so it was asked for
        use.shared.adopt(str(use.shared.directory / files))
        return answer.written_bytes

    def stop(self) -> None:
        """Make all running calls fail soon."""
        self._fail(ImporterError("stopped, since another layer failed"))

    def _fail(self, error: ImporterError) -> None:
        with self._lock:
            self._failure = self._failure or error
            running = list(self._running)
        for task in running:
            task.stop()
