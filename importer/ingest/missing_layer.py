"""A layer to read, and the origins that have it, which are tried one after the other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from layers.errors import Fault, LayerError
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.ingest.budget import Allowance
    from importer.progress import Progress
    from importer.workers.job import Job
    from layers.limits import LayerOptions
    from layers.oci.manifest import Descriptor
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import ReadLayer

    type OnRead = Callable[[ReadLayer], None]
    type Store = Callable[[Origin, LayerOptions, OnRead], int]


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


@frozen
class BlobOrigin:
    """An `Origin`: a blob of an image that skopeo opens as `source`."""

    source: str
    blob: Descriptor

    @property
    def size(self) -> int:
        return self.blob.size

    def job(self, layer: ImageLayer, options: LayerOptions, timeout: float) -> Job[ReadLayer]:
        # Only an import that reads a layer needs what unpacks one.
        from importer.ingest.job import BlobJob, FileJob

        if layer.is_file:
            return FileJob(layer.available, options, timeout)
        return BlobJob(layer.available, layer.diff_id, options, timeout)


@frozen
class MissingLayer:
    """A layer without a branch of its own, and the origins that have it, best first.

    `waiting` counts the images of the import that need it.
    """

    layer: ImageLayer
    origins: tuple[Origin, ...]
    waiting: int = 1

    @property
    def size(self) -> int:
        return self.origins[0].size

    def document(self) -> dict[str, object]:
        return {
            "layer_id": self.layer.id,  # the layer's id
            "diff_id": self.layer.diff_id,  # the uncompressed tar's digest
            "digest": self.layer.blob.digest,  # the blob's digest
            "size": self.size,  # the blob's size
            "images": self.waiting,  # number of images of this call that have the layer
            # the references that it can be fetched from
            "from": [origin.source for origin in self.origins],
        }

    @property
    def name(self) -> str:
        """Return a short name for progress. Not the blob's: several layers may have one blob, on
        different parents."""
        return self.layer.id[:12]


class Origins:
    """Stores layers from the first of their origins that works. Images of several repositories may
    share a layer, and a repository may be broken. Once `stopped` is set, no other origin is tried.
    """

    def __init__(self, options: LayerOptions, allowance: Allowance, progress: Progress) -> None:
        self._options = options
        self._allowance = allowance
        self._progress = progress
        self.stopped = threading.Event()

    def try_each(self, missing: MissingLayer, store: Store, on_read: OnRead) -> int:
        """Call `store` with an origin after the other until a call works. Return its result.

        `store` calls `on_read` when the layer is read; after that no other origin is tried. If none
        works, raise the error of the last one.
        """
        handed: list[ReadLayer] = []

        def hand_over(layer: ReadLayer) -> None:
            self._allowance.take(layer.size, layer.entries)
            handed.append(layer)
            on_read(layer)

        for origin in missing.origins[:-1]:
            try:
                return self._limited(origin, store, hand_over)
            except Fault as fault:
                if handed or self.stopped.is_set():
                    raise
                self._progress.message(f"{fault}; another repository has it, too")
        return self._limited(missing.origins[-1], store, hand_over)

    def _limited(self, origin: Origin, store: Store, on_read: OnRead) -> int:
        """Store the layer from this origin, with limits cut to what the call may still read."""
        options = self._allowance.left(self._options)
        try:
            return store(origin, options, on_read)
        except LayerError as error:
            raise self._allowance.explained(error, self._options, options) from None
