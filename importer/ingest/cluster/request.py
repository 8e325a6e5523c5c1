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

    A worker makes a directory for the layer's objects in `place.directory`; without a place it
    keeps them in a repo of its own. `download` is None for a layer of a store. Events are logged
    under `topic`, with the layer's id.
    """

    layer_id: str
    topic: str
    agreement: Agreement
    place: Place | None
    job: Job[ReadLayer]
    download: Download | None

    def __repr__(self) -> str:
        """Return what Dask may show in its logs and on its dashboard."""
        return f"<layer {self.layer_id}>"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A worker's repo; the `commit` has all files.

    Its `url` has a secret in it, and is served until Dask forgets the task.
    """

    url: str = field(repr=False)
    commit: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A layer that was read.

    `files` is the directory where its objects are, durable; or the repo to pull them from.
    `written_bytes` are what the new files take, `read_bytes` what the blob or the store gave;
    `seconds` are those on the worker.
    """

    found: ReadLayer
    files: str | Parcel
    written_bytes: int
    read_bytes: int
    worker: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ReadBy:
    """The worker that read a layer, and for how many seconds."""

    worker: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A layer that the worker could not read: the image's fault, or the worker's."""

    error: Fault | OSError
    worker: str


def of_worker(fault: Fault, worker: str) -> Fault:
    """Return the fault with the worker's address before its message."""
    fault.message = f"worker {worker}: {fault.message}"
    return fault
