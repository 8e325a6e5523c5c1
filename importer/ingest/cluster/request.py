"""The messages between the importing process and a worker: a layer to read, and the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importer.fetch.skopeo import Skopeo
    from importer.ingest.cluster.agreement import Agreement
    from importer.repo.staging import Place
    from importer.workers.job import Job
    from layers.errors import Fault
    from layers.oci.manifest import Descriptor
    from layers.tree.read_layer import ReadLayer


@dataclass(frozen=True, slots=True)
class Download:
    """The blob that a worker fetches: skopeo opens the image as `source`."""

    skopeo: Skopeo
    source: str
    blob: Descriptor


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A layer to read.

    The worker makes a directory for the layer's objects in `place.directory`. If `place` is None,
    it keeps them in a repo of its own. `download` is None for a layer of an existing store. The
    worker sends its events to `topic`, with the layer's id.
    """

    layer_id: str
    topic: str
    agreement: Agreement
    place: Place | None
    job: Job[ReadLayer]
    download: Download | None

    def __repr__(self) -> str:
        """Return a text without secrets, since Dask shows it in logs and on its dashboard."""
        return f"<layer {self.layer_id}>"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A worker's repo, and the `commit` in it that has all files of a layer.

    The `url` has a secret in it. The worker serves the repo until Dask forgets the task.
    """

    url: str = field(repr=False)
    commit: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A layer that a worker has read.

    `files` is the directory with the layer's durable objects, or the repo to pull them from.
    `written_bytes` is the size of the new files, `read_bytes` the bytes read of the blob or the
    store, `seconds` the time that the worker took.
    """

    found: ReadLayer
    files: str | Parcel
    written_bytes: int
    read_bytes: int
    worker: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ReadBy:
    """The worker that read a layer, and how many seconds it took."""

    worker: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error because of which a worker could not read a layer."""

    error: Fault | OSError
    worker: str


def of_worker(fault: Fault, worker: str) -> Fault:
    """Return the fault with the worker's address before its message."""
    fault.message = f"worker {worker}: {fault.message}"
    return fault
