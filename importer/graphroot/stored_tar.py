"""Rebuild a layer's tar in an existing store: from its tar-split record, and from the files of its
directory `diff`."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.foreign import ABSENT_BENEATH, sized_pieces
from importer.files.xattrs import xattrs_of
from layers.compress.decompress import gunzipped
from layers.errors import LayerError
from layers.limits import Limits
from layers.path import Path, components, joined
from layers.tarsplit.record_reader import described
from layers.tree.overlay_xattrs import check_complete, is_metacopy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.files.beneath import Beneath
    from importer.files.foreign import ForeignDirectory
    from importer.files.lower_data import Layers
    from layers.chunks import Chunks
    from layers.entry import Xattrs
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


@dataclass(frozen=True, slots=True)
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
