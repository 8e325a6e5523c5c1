"""Read the tar-split record of a layer in an existing store, with bounds on its packed and unpacked
size."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.compress.decompress import gunzipped
from layers.errors import printable
from layers.limits import Limits
from layers.tarsplit.record_reader import described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.graphroot.files import StoreDirectory
    from layers.chunks import Chunks
    from layers.tarsplit.record_reader import Segment

# Bytes of a record, gzipped: some 60 an entry.
MAX_PACKED = 1 << 30
# Bytes of its JSON lines, which deflate packs up to a thousand to one, where no limits are given.
MAX_UNPACKED = Limits().record


@dataclass(frozen=True, slots=True)
class Record:
    """The record at a path, in bytes, relative to a store's directory. `limits` are the layer's."""

    directory: StoreDirectory
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
                    f"{printable(self.directory.full(self.path))} has more than {most}"
                    " bytes once unpacked",
                    hint="the store is damaged: pull the image anew; without the record the layer"
                    " is read from its directory",
                )
            yield chunk
