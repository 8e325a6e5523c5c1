"""Read a layer from an existing store: rebuild its tar from its tar-split record and the files of
its directory `diff`; or, without a record, walk its files."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.beneath import Beneath
from importer.files.foreign import ABSENT_BENEATH, sized_pieces
from importer.files.lower_data import Layers
from importer.files.xattrs import xattrs_of
from importer.graphroot.layer_walk import LayerWalk
from importer.ingest.job import read_tar
from importer.ingest.object_writer import ObjectWriter
from importer.progress import counted
from layers.chunks import DiffID, check_size, drain
from layers.compress.decompress import gunzipped
from layers.errors import LayerError
from layers.frozen import frozen
from layers.limits import Limits
from layers.path import Path, components, joined
from layers.tarsplit.record_reader import assembled, described
from layers.tree.overlay_xattrs import check_complete, is_metacopy
from layers.tree.read_layer import ReadLayer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.files.foreign import ForeignDirectory
    from importer.graphroot.source import SourceLayer
    from importer.progress import Advance
    from importer.workers.job import Store
    from layers.chunks import Chunks
    from layers.digest import Digest
    from layers.entry import Xattrs
    from layers.limits import LayerOptions
    from layers.tarsplit.record_reader import FileContent, Segment

# Bytes of a record, gzipped: some 60 an entry.
MAX_PACKED = 1 << 30
# Bytes of its JSON lines, which deflate packs up to a thousand to one, where no limits are given.
MAX_UNPACKED = Limits().record
DAMAGED = "the store is damaged; a new pull mends it"
# podman's record does not give every tar again; docs/semantics.md, "tar-split", has the list.
_NOT_THE_TAR = (
    "a file of the layer has changed since it was pulled, or the store could not record its tar:"
    " import the image from its registry; a layer that import-image refuses there, since it is cut"
    " short, has to be built anew"
)


@frozen
class Record:
    """The record at a path, in bytes, relative to a store's directory. `limits` are the layer's."""

    directory: ForeignDirectory
    path: bytes
    limits: Limits | None = None

    @contextmanager
    def parts(self) -> Iterator[Iterator[Segment]]:
        """Give the tar's parts, and close the file at the end.

        Raise ImporterError, with the record's path, if the record has more bytes than the bounds,
        and LayerError if it is malformed.
        """
        packed = self.directory.pieces(self.path, MAX_PACKED)
        try:
            yield described(self._bounded(gunzipped(packed)))
        finally:
            packed.close()

    def _bounded(self, lines: Chunks) -> Chunks:
        most = self.limits.record if self.limits else MAX_UNPACKED
        left = most
        for chunk in lines:
            left -= len(chunk)
            if left < 0:
                raise ImporterError(
                    f"{self.directory.shown(self.path)} has more than {most} bytes once unpacked",
                    hint="the store is damaged: pull the image anew; without the record the layer"
                    " is read from its directory",
                )
            yield chunk


class LayerDirectory:
    """Read the contents that a tar-split record asks for, beneath the directory alone."""

    def __init__(self, directory: ForeignDirectory, beneath: Beneath, layers: Layers) -> None:
        """Read from the layer's directory; `beneath` opens files in it. `layers` may have the data
        of a file that overlayfs has copied up without it."""
        self._root = directory
        self._layers = layers
        self._beneath = beneath

    def content(self, part: FileContent) -> Chunks:
        """Yield all of a file's bytes. Raise LayerError if the file is missing, is not a regular
        file, or has another size than the record says."""
        path = components(part.path)
        descriptor = self._open(path)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise LayerError("the layer's directory has no regular file there", hint=DAMAGED)
            if status.st_size != part.size:
                raise LayerError(
                    f"the file has {status.st_size} bytes, and had {part.size} when the layer was"
                    " unpacked",
                    hint=DAMAGED,
                )
            with self._root.faults(joined(path)):
                descriptor = self._with_data(descriptor, path, part.size)
            with self._root.entry(joined(path)):
                yield from sized_pieces(descriptor, part.size)
        finally:
            os.close(descriptor)

    def _with_data(self, descriptor: int, path: Path, size: int) -> int:
        """Return a descriptor of the file's data, this one unless a lower layer has the data."""
        xattrs = xattrs_of(descriptor)
        if not is_metacopy(xattrs):
            return descriptor
        data = self._layers.open_data(path, size, xattrs)
        os.close(descriptor)
        return data

    def _open(self, path: Path) -> int:
        with self._root.faults(joined(path)):
            try:
                return self._beneath.file(path) if path else os.dup(self._root.descriptor)
            except OSError as error:
                if error.errno not in ABSENT_BENEATH:
                    raise
                message = "the file is gone from the layer's directory"
                raise LayerError(message, hint=DAMAGED) from None

    def explained(self, error: LayerError) -> LayerError:
        """Return the error, or its cause if the path's overlayfs xattrs tell one.

        An error without a path means that the record does not give the layer's tar again; it gets
        a hint that says so.
        """
        if error.path is None:
            return error.within(hint=_NOT_THE_TAR)
        try:
            path = components(error.path)
            for depth in range(1, len(path) + 1):
                check_complete(self._xattrs_of_directory(path[:depth]), directory=True)
        except LayerError as cause:
            return cause.within(path=error.path)
        except OSError:
            pass  # a missing file has no xattrs that could explain the error
        return error

    def _xattrs_of_directory(self, path: Path) -> Xattrs:
        """Return a directory's xattrs, none for a file."""
        try:
            return xattrs_of(self._beneath.directory(path))
        except NotADirectoryError:
            return ()


@frozen
class StoreJob:
    """An `importer.workers.job.Job` that reads a layer of a store."""

    diff_id: Digest
    source: SourceLayer
    options: LayerOptions

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:  # noqa: ARG002
        """See `Job`; `advance` counts the bytes of the tar, or without a record of the files."""
        with self.source.store.open() as place, place.directory(self.source.directory) as layer:
            if self.source.record is None:
                return self._walk(store, place, layer, advance)
            record = Record(place, self.source.record, self.options.limits)
            read = self._assemble(store, record, layer, advance)
        return replace(read, verified=self.source.verified)

    def _assemble(
        self, store: Store, record: Record, layer: ForeignDirectory, advance: Advance
    ) -> ReadLayer:
        """Rebuild the tar from its record and files, and read it like a fetched one."""
        below = Layers(record.directory.descriptor, self.source.paths)
        with Beneath(layer.descriptor) as beneath, record.parts() as parts:
            directory = LayerDirectory(layer, beneath, below)
            tar = assembled(parts, directory.content)
            try:
                return read_tar(store, counted(tar, advance), self.diff_id, self.options)
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
                drain(iter(DiffID(tar, self.diff_id, self.options.limits.size)))
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
            self.source.verified,
            walk.entries,
            size,
        )
