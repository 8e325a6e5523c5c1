"""Values of an import's plan: a layer to read, and the places from which it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from importer.workers.job import Job
    from layers.oci.manifest import Descriptor
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import LayerOptions, ReadLayer


class Origin(Protocol):
    """A place from which a layer can be read."""

    @property
    def size(self) -> int:
        """Return how many bytes there are to read, 0 if unknown."""

    @property
    def source(self) -> str:
        """Return the place as messages name it: a reference for skopeo, or a directory."""

    @property
    def blob(self) -> Descriptor | None:
        """Return the blob that skopeo has to fetch from `source`, None if the job needs none."""

    def job(self, layer: ImageLayer, options: LayerOptions, timeout: float) -> Job[ReadLayer]:
        """Return the job that reads the layer. A pipe that is silent for `timeout` seconds ends
        the job."""


@dataclass(frozen=True, slots=True)
class BlobOrigin:
    """An `Origin`: a blob of an image that skopeo opens as `source`."""

    source: str
    blob: Descriptor

    @property
    def size(self) -> int:
        """See `Origin`."""
        return self.blob.size

    def job(self, layer: ImageLayer, options: LayerOptions, timeout: float) -> Job[ReadLayer]:
        """See `Origin`."""
        # Only an import that reads a layer needs what unpacks one.
        from importer.ingest.job import BlobJob

        return BlobJob(layer, options, timeout)


@dataclass(frozen=True, slots=True)
class MissingLayer:
    """A layer without a branch of its own, and the origins that have it, best first.

    `waiting` counts the images of the import that need it.
    """

    layer: ImageLayer
    origins: tuple[Origin, ...]
    waiting: int = 1

    @property
    def size(self) -> int:
        """Return the bytes that there are to read."""
        return self.origins[0].size

    @property
    def name(self) -> str:
        """Return a short name for progress: of the blob, or of the tar where there is no blob."""
        blob = self.origins[0].blob
        return (blob.digest if blob is not None else self.layer.diff_id).hex[:12]
