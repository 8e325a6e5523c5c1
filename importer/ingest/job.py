"""A layer's files read and stored: in a process of its own, or in ours. libostree has no part
in it, so that such a process need not load it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from importer.ingest.object_writer import ObjectWriter
from importer.ingest.read_ahead import ReadAhead
from importer.pipe import patient_chunks
from layers.chunks import DiffID, drain, verified
from layers.compress.decompress import decompressed
from layers.errors import LayerError
from layers.tree.layer_reader import LayerReader
from layers.tree.read_layer import ReadLayer

if TYPE_CHECKING:
    from importer.ingest.object_writer import Store
    from importer.progress import Advance
    from layers.chunks import Chunks
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import LayerOptions


class Job[T](Protocol):
    """Files to be read, such as a layer's, and where they come from; it can be sent to another
    process. `T` is what is known of them afterwards."""

    def read(self, store: Store, source: int, advance: Advance) -> T:
        """Write the layer's files. `source` is a descriptor, or -1 where none is needed, which
        stays open; LayerError or ImporterError if the layer cannot be had."""


@dataclass(frozen=True, slots=True)
class BlobJob:
    """A layer whose blob comes through the descriptor; it is verified here."""

    layer: ImageLayer
    options: LayerOptions
    timeout: float  # in seconds: how long the blob's pipe may be silent

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:
        """See `Job`; the blob is read to its end, whatever is wrong with what it holds."""
        available = self.layer.available
        blob = verified(_pieces(source, self.timeout, advance), available.digest, available.size)
        try:
            tar = decompressed(blob, available.media_type, self.layer.available_compression)
            return read_tar(store, tar, self.layer, self.options)
        except LayerError:
            drain(blob)  # where the blob itself is broken, that is the error to tell
            raise


def _pieces(source: int, timeout: float, advance: Advance) -> Chunks:
    for piece in patient_chunks(source, timeout, "the registry"):
        advance(len(piece))
        yield piece


def read_tar(store: Store, chunks: Chunks, layer: ImageLayer, options: LayerOptions) -> ReadLayer:
    """Write the layer's files while its tar passes by, and check the diffID of it all."""
    tar = DiffID(chunks, layer.diff_id, options.limits.size)
    with ReadAhead(iter(tar)) as ahead, ObjectWriter(store) as objects:
        reader = LayerReader(iter(ahead), options.device_nodes, options.limits)
        for leaf, entry in reader:
            objects.add(leaf, entry, reader)
    record = reader.tar_split(store.content)
    return ReadLayer(reader.tree, reader.dropped_xattrs, tar.size, record)
