"""Jobs that read a layer and store its files, in a worker process or in this one.

Worker processes load this module, and no libostree with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.ingest.object_writer import ObjectWriter
from importer.ingest.read_ahead import ReadAhead
from importer.pipe import patient_chunks
from importer.progress import counted
from layers.chunks import DiffID, drain, verified
from layers.compress.decompress import decompressed
from layers.errors import LayerError
from layers.frozen import frozen
from layers.tree.layer_reader import LayerReader
from layers.tree.prewrite import seal
from layers.tree.read_layer import ReadLayer

if TYPE_CHECKING:
    from importer.progress import Advance
    from importer.workers.job import Job, Store
    from layers.chunks import Chunks
    from layers.storage.image import ImageLayer
    from layers.tree.layer_options import LayerOptions


@frozen
class BlobJob:
    """A `Job` that reads a layer's blob from the descriptor, and verifies it."""

    layer: ImageLayer
    options: LayerOptions
    timeout: float  # in seconds: how long the blob's pipe may be silent

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:
        """See `Job`. The blob is read to its end even if its content is wrong."""
        available = self.layer.available
        pieces = patient_chunks(source, self.timeout, "the registry", available.size)
        blob = verified(counted(pieces, advance), available.digest, available.size)
        try:
            tar = decompressed(blob, available.media_type, self.layer.available_compression)
            return read_tar(store, tar, self.layer, self.options)
        except LayerError:
            drain(blob)  # raises if the blob has another digest, which is then the error to report
            raise


def read_tar(store: Store, chunks: Chunks, layer: ImageLayer, options: LayerOptions) -> ReadLayer:
    """Store a layer's files while its tar is read. Raise LayerError for a wrong diffID."""
    tar = DiffID(chunks, layer.diff_id, options.limits.size)
    with ReadAhead(iter(tar)) as ahead, ObjectWriter(store) as objects:
        reader = LayerReader(iter(ahead), options.device_nodes, options.limits)
        for leaf, entry in reader:
            objects.add(leaf, entry, reader)
    record = reader.tar_split(store.content)
    return ReadLayer(
        reader.tree, reader.dropped_xattrs, tar.size, record, entries=reader.entries, size=tar.size
    )


@frozen
class Sealed:
    """A layer's job that also writes the directories that no lower layer can change."""

    job: Job[ReadLayer]

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:
        """See `Job`. Raise LayerError for a directory that is too large for ostree."""
        layer = self.job.read(store, source, advance)
        seal(layer.tree, store.write_meta)
        return layer
