"""Jobs that read a layer and store its files, in a worker process or in this one.

Worker processes load this module, and no libostree with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.ingest.object_writer import ObjectWriter
from importer.ingest.read_ahead import ReadAhead
from importer.pipe import patient_chunks
from importer.progress import counted
from layers.chunks import DiffID, check_size, drain, verified
from layers.compress.decompress import decompressed
from layers.entry import Entry, Kind, Owner
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.media_type import layer_compression
from layers.tree.builder import LayerTree
from layers.tree.layer_reader import LayerReader
from layers.tree.prewrite import seal
from layers.tree.read_layer import ReadLayer

if TYPE_CHECKING:
    from importer.progress import Advance
    from importer.workers.job import Job, Store
    from layers.chunks import Chunks
    from layers.digest import Digest
    from layers.limits import LayerOptions
    from layers.oci.manifest import Descriptor

_FILE = Owner(0o644, 0, 0)


@frozen
class BlobJob:
    """A `Job` that reads a layer's blob from the descriptor, and verifies it. `diff_id` is that of
    the blob's tar."""

    blob: Descriptor
    diff_id: Digest
    options: LayerOptions
    timeout: float  # in seconds: how long the blob's pipe may be silent

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:
        """See `Job`. The blob is read to its end even if its content is wrong."""
        blob = self.blob
        pieces = patient_chunks(source, self.timeout, "the registry", blob.size)
        chunks = verified(counted(pieces, advance), blob.digest, blob.size)
        try:
            tar = decompressed(chunks, blob.media_type, layer_compression(blob.media_type))
            return read_tar(store, tar, self.diff_id, self.options)
        except LayerError:
            drain(chunks)  # raises if the blob has another digest: that is the error to report
            raise


@frozen
class FileJob:
    """A `Job` that reads an artifact's blob as `BlobJob` does, and stores it as a file of which its
    digest's hex digits are the name."""

    blob: Descriptor
    options: LayerOptions
    timeout: float

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:
        blob = self.blob
        check_size(blob.size, self.options.limits.size)
        entry = Entry(blob.digest.hex.encode(), Kind.FILE, _FILE, blob.size)
        tree = LayerTree()
        leaf = tree.add(entry)
        assert leaf is not None  # noqa: S101 - the entry is a file
        pieces = patient_chunks(source, self.timeout, "the registry", blob.size)
        chunks = verified(counted(pieces, advance), blob.digest, blob.size)
        leaf.checksum = store.write_large_file(entry.owner, blob.size, chunks)
        return ReadLayer(tree, 0, blob.size, None, entries=1, size=blob.size)


def read_tar(store: Store, chunks: Chunks, diff_id: Digest, options: LayerOptions) -> ReadLayer:
    """Store a layer's files while its tar is read. Raise LayerError for a wrong diffID."""
    tar = DiffID(chunks, diff_id, options.limits.size)
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
