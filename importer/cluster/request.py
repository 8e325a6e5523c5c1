"""The message to a worker: a layer to read. `answer.py` has the messages back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importer.cluster.agreement import Agreement
    from importer.fetch.skopeo import Skopeo
    from importer.repo.staging import ObjectPlace
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
    place: ObjectPlace | None
    job: Job[ReadLayer]
    download: Download | None

    def __repr__(self) -> str:
        """Return a text without secrets, since Dask shows it in logs and on its dashboard."""
        return f"<layer {self.layer_id}>"


def of_worker(fault: Fault, worker: str) -> Fault:
    """Return the fault with the worker's address before its message."""
    fault.message = f"worker {worker}: {fault.message}"
    return fault
