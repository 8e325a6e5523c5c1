"""A layer out of somebody's store: its tar made again, or, without a record, its directory."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.layer import LayerOptions, ReadLayer, read_layer, read_tar
from importer.layerdirectory import LayerDirectory
from importer.layergroup import LayerGroup
from importer.layerpool import LayerPool
from importer.layerwalk import LayerWalk
from importer.objects import ObjectWriter
from importer.sourcefile import faults, opened, pieces
from layers.errors import Fault, LayerError
from layers.segments import assembled, segments
from layers.verify import check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from importer.progress import Advance, Progress
    from importer.repo import Repo
    from importer.source import SourceLayer
    from importer.writers import Writers
    from layers.image import ImageLayer
    from layers.verify import Chunks, OpenChunks


@dataclass(frozen=True, slots=True)
class MissingLayer:
    """A layer to be read. It is `verified` if its tar can be, and those below it are."""

    layer: ImageLayer
    source: SourceLayer
    verified: bool


class SourceReader:
    """Reads layers, several at once; `bytes` counts what the tars of all of them had."""

    def __init__(self, options: LayerOptions, progress: Progress) -> None:
        self._options = options
        self._progress = progress
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.bytes = 0

    def stop(self) -> None:
        """Whoever still reads gets an ImporterError."""
        self._stopped.set()

    def import_layers(self, repo: Repo, missing: Iterable[MissingLayer]) -> None:
        """Import these, parents first; they are in a store, so nothing is tried again."""
        with LayerPool(lambda: LayerGroup(repo.again())) as pool:
            for one in missing:
                pool.submit(one.layer, partial(self._import, repo, one))
            pool.wait(self.stop)

    def _import(
        self,
        repo: Repo,
        one: MissingLayer,
        writers: Writers,
        found: Callable[[ReadLayer], None],
    ) -> None:
        own = repo.again(writers)
        read_layer(own, one.layer, partial(self._read, own, one), found)

    def _read(self, repo: Repo, one: MissingLayer) -> ReadLayer:
        layer, source = one.layer, one.source
        read = self._walk if source.record is None else self._assemble
        try:
            with self._progress.blob(layer.diff_id.hex[:12], source.size) as advance:
                return replace(read(repo, layer, source, advance), verified=one.verified)
        except Fault as error:
            raise error.within(digest=f"layer {layer.diff_id}") from None

    def _assemble(
        self, repo: Repo, layer: ImageLayer, source: SourceLayer, advance: Advance
    ) -> ReadLayer:
        """The tar made again from its record and files, then read as if it had been fetched."""
        assert source.record is not None  # noqa: S101 - `_read` has looked
        record = _record(source.record)
        with LayerDirectory(source.directory) as directory:
            tar = assembled(segments(record), directory.content)
            try:
                return read_tar(repo, self._counted(tar, advance), layer, self._options)
            except LayerError as error:
                raise directory.explained(error) from None
            finally:
                tar.close()
                record.close()

    def _walk(
        self, repo: Repo, layer: ImageLayer, source: SourceLayer, advance: Advance
    ) -> ReadLayer:
        """The directory as it is: nothing says that it is still what was unpacked there."""
        self._progress.message(
            f"layer {layer.diff_id}: no tar-split record; taken as its directory is, unverified"
        )
        walk, size = LayerWalk(source.directory, self._options.device_nodes), 0
        with ObjectWriter(repo) as objects:
            for leaf, entry in walk:
                size += entry.size
                check_size(size, self._options.limits.size)
                objects.add(leaf, entry, walk)
                self._count(entry.size, advance)
        return ReadLayer(walk.tree, walk.dropped_xattrs, source.size, None)

    def _counted(self, chunks: Chunks, advance: Advance) -> Chunks:
        for chunk in chunks:
            self._count(len(chunk), advance)
            yield chunk

    def _count(self, size: int, advance: Advance) -> None:
        if self._stopped.is_set():
            raise ImporterError("stopped, since another layer failed")
        with self._lock:
            self.bytes += size
        advance(size)


def _record(path: Path) -> OpenChunks:
    with faults(path):
        yield from pieces(opened(os.fsencode(path)))
