"""Read a layer from an existing store: rebuild its tar, or, without a record, walk its files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from importer.files.beneath import Beneath
from importer.files.lower_data import Layers
from importer.graphroot.layer_walk import LayerWalk
from importer.graphroot.stored_tar import LayerDirectory, Record
from importer.ingest.job import read_tar
from importer.ingest.object_writer import ObjectWriter
from layers.chunks import DiffID, check_size, drain
from layers.errors import LayerError
from layers.tarsplit.record_reader import assembled
from layers.tree.read_layer import ReadLayer

if TYPE_CHECKING:
    from importer.files.foreign import ForeignDirectory
    from importer.graphroot.source import SourceLayer
    from importer.progress import Advance
    from importer.workers.job import Store
    from layers.chunks import Chunks
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import LayerOptions


@dataclass(frozen=True, slots=True)
class StoreJob:
    """An `importer.workers.job.Job` that reads a layer of a store.

    `verified` tells that the layer's tar can be checked, and that all layers below are verified.
    """

    layer: ImageLayer
    source: SourceLayer
    verified: bool
    options: LayerOptions

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:  # noqa: ARG002
        """See `Job`; `advance` counts the bytes of the tar, or without a record of the files."""
        with self.source.store.open() as place, place.directory(self.source.directory) as layer:
            if self.source.record is None:
                return self._walk(store, place, layer, advance)
            record = Record(place, self.source.record, self.options.limits)
            read = self._assemble(store, record, layer, advance)
        return replace(read, verified=self.verified)

    def _assemble(
        self, store: Store, record: Record, layer: ForeignDirectory, advance: Advance
    ) -> ReadLayer:
        """Rebuild the tar from its record and files, and read it like a fetched one."""
        below = Layers(record.directory.descriptor, self.source.paths)
        with Beneath(layer.descriptor) as beneath, record.parts() as parts:
            directory = LayerDirectory(layer, beneath, below)
            tar = assembled(parts, directory.content)
            try:
                return read_tar(store, _counted(tar, advance), self.layer, self.options)
            except LayerError as error:
                if error.path is None and self._is_intact(record, directory):
                    raise  # the tar has its diffID: the image is at fault, not the store
                raise directory.explained(error) from None
            finally:
                tar.close()

    def _is_intact(self, record: Record, directory: LayerDirectory) -> bool:
        """Return whether the tar has the layer's diffID, even if its entries are malformed."""
        with record.parts() as parts:
            tar = assembled(parts, directory.content)
            try:
                drain(iter(DiffID(tar, self.layer.diff_id, self.options.limits.size)))
            except LayerError:
                return False
            finally:
                tar.close()
        return True

    def _walk(
        self, store: Store, place: ForeignDirectory, layer: ForeignDirectory, advance: Advance
    ) -> ReadLayer:
        """Read the directory as it is; no digest tells whether its files have changed."""
        below = Layers(place.descriptor, self.source.paths)
        walk, size = LayerWalk(layer, below, self.options.device_nodes, self.options.limits), 0
        with ObjectWriter(store) as objects:
            for leaf, entry in walk:
                size += entry.size
                check_size(size, self.options.limits.size)
                objects.add(leaf, entry, walk)
                advance(entry.size)
        return ReadLayer(
            walk.tree,
            walk.dropped_xattrs,
            self.source.size,
            None,
            self.verified,
            walk.entries,
            size,
        )


def _counted(chunks: Chunks, advance: Advance) -> Chunks:
    for chunk in chunks:
        advance(len(chunk))
        yield chunk
