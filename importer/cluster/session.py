"""The connection of an import to a cluster, made when the first layer has to be read, and the bars
of layers that workers read."""

from __future__ import annotations

import secrets
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from importer.cluster.agreement import Agreement
from importer.cluster.messages import Parcel, Request, decoded
from importer.errors import ClusterError, ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from importer.cluster.address import Cluster
    from importer.cluster.dask import Running
    from importer.cluster.messages import Refusal, WantedLayer, WorkerAnswer
    from importer.progress import Advance, Progress
    from importer.repo.pulled_objects import PulledObjects
    from importer.repo.staging import LooseObjects
    from importer.repo.writer import Repo

# Without --jobs, this many layers are submitted at once: at least _AT_ONCE, so that Dask sees that
# more workers would help, and _AHEAD for each thread, so that no thread waits for a layer.
_AT_ONCE = 64
_AHEAD = 2
_LONGEST = 1000  # characters of a worker's message


def layers_at_once(asked: int | None, threads: int) -> int:
    """Return how many layers to submit at once: as `asked`, or by the workers' `threads`."""
    return asked or max(_AT_ONCE, _AHEAD * threads)


class ClusterSession:
    """A connection to the cluster, and the directory that workers write to.

    `layers` is how many layers to submit at once. The caller keeps the repo locked until `close`.
    """

    def __init__(self, cluster: Cluster, repo: Repo, progress: Progress) -> None:
        """Connect, and have each worker prove that it sees the repo.

        Raise ImporterError if a worker has another version or does not see the repo, or if no
        worker comes in time.
        """
        self._topic = f"import-image-{secrets.token_hex(8)}"
        self._lock = threading.Lock()
        self._running: set[Running] = set()
        self._failure: ImporterError | None = None
        self._shared: LooseObjects | None = None
        self._pulled: PulledObjects | None = None
        self.bars = Bars()
        with ExitStack() as opened:
            if cluster.collect:
                self._pulled = opened.enter_context(repo.pulled_objects())
            else:
                self._shared = opened.enter_context(repo.shared_objects())
            self._connect(cluster, progress, opened)
            self._opened = opened.pop_all()

    def _connect(self, cluster: Cluster, progress: Progress, opened: ExitStack) -> None:
        try:
            from importer.cluster.dask import Dask
            from importer.cluster.members import Members
        except ModuleNotFoundError as error:
            raise ImporterError(
                f"--cluster needs Dask: {error.name} is not installed",
                hint="pip install 'import-image[cluster]'",
            ) from None
        self._dask = Dask(cluster.address)
        opened.callback(self._dask.close)
        self._dask.listen(self._topic, self.bars.hear)
        members = Members(cluster, self._dask, progress)
        self.layers = layers_at_once(cluster.layers, members.first())
        self._agreement = Agreement.made(self._shared.directory if self._shared else None)
        members.prove(self._agreement)
        members.watch(self._fail)
        opened.callback(members.close)

    def close(self) -> None:
        self._opened.close()

    def others(self, workers: Iterable[str]) -> set[str]:
        return set(self._dask.workers()) - set(workers)

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

        place = self._shared.place if self._shared is not None else None
        request = Request(wanted, self._topic, self._agreement, place)
        with self._lock:
            if self._failure is not None:
                raise self._failure
            running = self._dask.submit(read_layer, request, wanted.key, wanted.priority, workers)
            self._running.add(running)
        return running

    def take(self, answer: WorkerAnswer) -> int:
        """Move the layer's objects into the repo. Return the bytes of new files.

        Raise OSError if they cannot be moved, ImporterError if they cannot be pulled.
        """
        files = answer.files
        if isinstance(files, Parcel):
            assert self._pulled is not None  # noqa: S101 - the request asked for a parcel
            return self._pulled.pull(files.url, files.commit)
        assert self._shared is not None  # noqa: S101 - the request named its place
        self._shared.publish_of(self._shared.directory / files)
        return answer.written_bytes

    def stop(self) -> None:
        self._fail(ImporterError("stopped, since another layer failed"))

    def _fail(self, error: ImporterError) -> None:
        with self._lock:
            self._failure = self._failure or error
            running = list(self._running)
        for task in running:
            task.stop()


class Bars:
    """Passes each event on to the bar of its layer. Used by several threads."""

    def __init__(self) -> None:
        self._bars: dict[str, Bar] = {}

    def add(self, layer_id: str, bar: Bar) -> None:
        self._bars[layer_id] = bar

    def hear(self, event: object) -> None:
        """Pass on an event of `importer.cluster.task`. Ignore values that are no event."""
        bar = self._bars.get(str(event.get("layer"))) if isinstance(event, dict) else None
        if isinstance(event, dict) and bar is not None:
            bar.hear(event)


class Bar:
    """A layer's bar. It appears when a worker begins to read the layer."""

    def __init__(self, progress: Progress, name: str, size: int) -> None:
        """`size` is the bytes to read."""
        self._progress = progress
        self._name = name
        self._size = size
        self._lock = threading.Lock()
        self._shown = ExitStack()
        self._advance: Advance | None = None
        self._told = 0
        self._ended = False

    def hear(self, event: Mapping[str, object]) -> None:
        """Show an event: a message, or the bytes read so far."""
        message, count = event.get("message"), event.get("bytes", 0)
        with self._lock:
            if self._ended:
                return
            if isinstance(message, str):
                self._progress.message(message[:_LONGEST])
            if isinstance(count, int):
                self._show(count)

    def end(self, count: int | None = None) -> None:
        """Remove the bar. If the layer was read, show first that `count` bytes were read."""
        with self._lock:
            if count is not None:
                self._show(count)
            self._ended = True
            self._shown.close()

    def _show(self, count: int) -> None:
        if self._advance is None:
            blob = self._progress.blob(self._name, self._size)
            self._advance = self._shown.enter_context(blob)
        if count > self._told:  # a second attempt begins at 0
            self._advance(count - self._told)
            self._told = count
