"""Read one layer on a worker: fetch, verify, unpack, write objects, make them durable.

The worker needs skopeo and import-image, but not libostree. A process of its own reads the layer,
as in a local import, so that Dask's process can always answer its scheduler.
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cluster.dask import ThisTask
from importer.cluster.messages import Refusal, WorkerAnswer, encoded, encoded_proof
from importer.cluster.outbox import Outbox
from importer.errors import ImporterError
from importer.fetch.blobs import Blobs
from importer.files.sync import synced
from importer.ingest.job import Sealed
from importer.progress import Silence
from importer.workers.pool import Workers
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.cluster.agreement import Agreement
    from importer.cluster.messages import Parcel, Request
    from importer.progress import Advance
    from importer.repo.new_objects import ObjectPlace
    from importer.workers.worker import JobDone
    from layers.tree.read_layer import ReadLayer

# The processes that read layers. They stay for later layers, and end with the worker.
_processes = Workers(Sealed.__module__)
# Seconds between two events of a layer, and between two checks whether it is still wanted.
_SOON = 0.5


def prove(agreement: Agreement) -> bytes:
    """Check the agreement. Return the proof, or a `Refusal`, encoded."""
    try:
        return encoded_proof(agreement.answered())
    except (Fault, OSError) as error:
        return encoded(Refusal(error, ""))


def read_layer(request: Request) -> bytes:
    """Read the layer. Return a `WorkerAnswer`, encoded; or if that fails, a `Refusal`, so that Dask
    does not repeat the task."""
    task = ThisTask()
    began = time.monotonic()
    try:
        request.agreement.check()
        with ExitStack() as failing, _Watch(task, request).running() as watch:
            files = _LayerFiles(task, request, failing)
            done = _read(request, files, watch)
            packed = files.packed()
            failing.pop_all()
    except (Fault, OSError) as error:
        return encoded(Refusal(error, task.worker))
    seconds = time.monotonic() - began
    return encoded(
        WorkerAnswer(done.result, packed, done.written_bytes, watch.count, task.worker, seconds)
    )


def _read(request: Request, files: _LayerFiles, watch: _Watch) -> JobDone[ReadLayer]:
    if request.layer.download is None:
        return files.write(-1, watch.advance)
    download = request.layer.download
    with Blobs(download.skopeo, watch) as blobs:
        watch.stop = blobs.close

        def attempt() -> JobDone[ReadLayer]:
            watch.begin()
            with blobs.pipe(download.source, download.blob) as (source, advance):
                return files.write(source, advance)

        return blobs.retrying(attempt)


class _LayerFiles:
    """The layer's files, in the repo that all workers see or in a repo of this worker's own."""

    def __init__(self, task: ThisTask, request: Request, failing: ExitStack) -> None:
        """`failing` is closed if reading the layer fails."""
        self._task = task
        self._request = request
        self._directory = ""
        self._outbox: Outbox | None = None
        if request.place is None:
            self._outbox = Outbox(task.directory, task.host)
            failing.callback(self._outbox.close)

    def write(self, source: int, advance: Advance) -> JobDone[ReadLayer]:
        """Read the layer into a new directory, so that files of a failed attempt are never used."""
        with _processes.lent() as process:
            if self._outbox is not None:
                # A pulled commit brings only files: the importing process writes the directories.
                place = self._outbox.place()
                done = process.write(self._request.layer.job, place, source, advance)
            else:
                place = self._shared_place()
                with synced(place.directory):
                    done = process.write(Sealed(self._request.layer.job), place, source, advance)
        self._directory = place.directory
        return done

    def _shared_place(self) -> ObjectPlace:
        place = self._request.place
        assert place is not None  # noqa: S101 - else there is an outbox
        return place._replace(directory=tempfile.mkdtemp(dir=place.directory))

    def packed(self) -> str | Parcel:
        """Return the name of the directory of the last attempt's files, or the URL and commit to
        pull."""
        if self._outbox is None:
            return Path(self._directory).name
        parcel = self._outbox.packed(self._directory)
        self._outbox.close_once(lambda: self._task.is_forgotten)
        return parcel


class _Watch(Silence):
    """Sends progress to the importing process, and stops the work when the layer is not wanted any
    more. The `Progress` of this layer's `Blobs`."""

    def __init__(self, task: ThisTask, request: Request) -> None:
        self._task = task
        self._request = request
        self._over = threading.Event()
        self._unwanted = False
        self._told = 0
        self.count = 0
        self.stop: Callable[[], None] = lambda: None

    @contextmanager
    def running(self) -> Iterator[_Watch]:
        """Watch in a thread of its own."""
        thread = threading.Thread(target=self._run, name="watch")
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        self._tell(begin=self._task.worker)
        while not self._over.wait(_SOON):
            if self._task.is_unwanted:
                self._unwanted = True
                self.stop()
                return
            if self.count != self._told:
                self._told = self.count
                self._tell(bytes=self.count)

    def _tell(self, **event: str | int) -> None:
        self._task.tell(self._request.topic, {"layer": self._request.layer.layer_id, **event})

    def begin(self) -> None:
        """Count from 0 again: an attempt fetches the blob from its beginning."""
        self.count = 0

    def advance(self, count: int) -> None:
        """Count bytes. Raise ImporterError if the layer is not wanted any more."""
        self.count += count
        if self._unwanted:
            raise ImporterError("stopped: the importing process does not want the layer any more")

    def message(self, text: str) -> None:
        self._tell(message=text)

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:  # noqa: ARG002 - the Protocol's
        yield self.advance
