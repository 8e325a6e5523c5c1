"""Fetch, read and close layers in threads; `importer.ingest.schedule` chooses the next one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from importer.errors import ClusterError
from importer.ingest.schedule import Schedule
from importer.ingest.scheduled_layer import NOT_BEGUN, ScheduledLayer, State, Work
from importer.ingest.spool import SpooledBlob
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from importer.cache.batch import LayerGroup
    from importer.ingest.budget import Budget
    from importer.ingest.executor import Executor
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from layers.tree.read_layer import ReadLayer


_SHOWN = {
    State.WAITING: "waiting",
    State.DOWNLOADING: "downloading",
    State.SPOOLED: "spooled",
    State.READING: "unpacking",
    State.READ: "closing",
    State.DURABLE: "closing",
    State.TAKEN: "closing",
    State.CLOSING: "closing",
    State.CLOSED: "done",
    State.FAILED: "failed",
}


class LayerPool:
    """Reads and closes layers by the schedule; each pool is for a single `run`.

    A layer's tree is written while its files are still on their way to the disk. Layers that are
    read at the same time are closed together, since each sync of the disk takes a while.
    """

    def __init__(
        self,
        executor: Executor,
        group: Callable[[], LayerGroup],
        budget: Budget,
        spool: Path,
        progress: Progress,
    ) -> None:
        """`spool` is the directory for blobs."""
        self._progress = progress
        self._executor = executor
        self._group = group
        self._budget = budget
        self._spool = spool
        self._changed = threading.Condition()
        self._layers: dict[str, MissingLayer] = {}
        self._schedule = Schedule(budget, [])
        self._blobs: dict[ScheduledLayer, SpooledBlob] = {}
        self._read: dict[ScheduledLayer, ReadLayer] = {}
        self._errors: dict[str, BaseException] = {}
        self.written_bytes = 0

    def run(self, layers: Sequence[MissingLayer], *, keep_going: bool = False) -> dict[str, Fault]:
        """Read and close all layers, parents before children. Return the faults by layer id.

        A layer whose parent fails has the parent's fault. Unless `keep_going`, the first fault
        stops the others and is raised; a ClusterError, and any error that is no fault, is raised
        in either case.
        """
        self._layers = {missing.layer.id: missing for missing in layers}
        self._schedule = Schedule(self._budget, map(self._work, layers))
        remote = any(entry.work.is_remote for entry in self._schedule.entries.values())
        for entry in self._schedule.entries.values():
            self._show(entry)
        loops = [self._read_some] * self._budget.unclosed + [self._close_some]
        loops += [self._download_some] * (self._budget.downloads if remote else 0)
        with ThreadPoolExecutor(len(loops), thread_name_prefix="layer") as threads:
            for loop in loops if layers else ():
                threads.submit(self._guarded, loop)
            if not keep_going:
                self._stop_at_an_error()
        self._executor.close()
        return self._faults(keep_going=keep_going)

    def _work(self, missing: MissingLayer) -> Work:
        layer = missing.layer
        parent = layer.parents[0] if layer.parents else None
        is_remote = self._budget.downloads > 0 and missing.origins[0].blob is not None
        return Work(layer.id, parent, missing.size, missing.waiting, is_remote)

    def _guarded(self, loop: Callable[[], None]) -> None:
        """Run one thread's loop. If it raises, fail all layers, so that no thread waits for it."""
        try:
            loop()
        except BaseException as error:
            for entry in self._schedule.entries.values():
                self._fail(entry, error)

    def _stop_at_an_error(self) -> None:
        with self._changed:
            while not self._errors and not self._schedule.is_over:
                self._changed.wait()
            if not self._errors:
                return
        self._executor.stop()
        with self._changed:
            error = next(iter(self._errors.values()))
            for entry in list(self._schedule.entries.values()):
                if entry.state in NOT_BEGUN:
                    self._fail(entry, error)

    def _faults(self, *, keep_going: bool) -> dict[str, Fault]:
        faults: dict[str, Fault] = {}
        for layer_id, error in self._errors.items():
            if not keep_going or not isinstance(error, Fault) or isinstance(error, ClusterError):
                raise error
            faults[layer_id] = error
        return faults

    def _next[T](self, choose: Callable[[], T | None]) -> T | None:
        """Wait until there is something to do. Return None when all layers are over."""
        with self._changed:
            while (chosen := choose()) is None and not self._schedule.is_over:
                self._changed.wait()
            if chosen is not None:
                self._changed.notify_all()
            return chosen

    def _show(self, entry: ScheduledLayer) -> None:
        missing = self._layers[entry.work.layer_id]
        self._progress.layer(missing.name, missing.size, _SHOWN[entry.state])

    def _tell(self, event: Callable[[ScheduledLayer], None], entry: ScheduledLayer) -> None:
        with self._changed:
            before = entry.state
            event(entry)
            if entry.state is not before:
                self._show(entry)
            self._changed.notify_all()

    def _fail(self, entry: ScheduledLayer, error: BaseException) -> None:
        """Fail a layer, and those above it; the first error of a layer counts."""
        with self._changed:
            for failed in self._schedule.fail(entry):
                self._errors.setdefault(failed.work.layer_id, error)
                self._show(failed)
                self._read.pop(failed, None)
                if (blob := self._blobs.pop(failed, None)) is not None:
                    blob.close()
            self._changed.notify_all()

    # --- fetching, in several threads ---

    def _download_some(self) -> None:
        while (begun := self._next(self._begin_download)) is not None:
            entry, blob = begun
            self._show(entry)
            try:
                self._executor.fetch(self._layers[entry.work.layer_id], blob)
            finally:
                self._tell(self._schedule.end_download, entry)

    def _begin_download(self) -> tuple[ScheduledLayer, SpooledBlob] | None:
        entry = self._schedule.next_download()
        if entry is None:
            return None
        blob = self._blobs[entry] = SpooledBlob(self._spool)
        return entry, blob

    # --- reading, in several threads ---

    def _read_some(self) -> None:
        while (entry := self._next(self._schedule.next_read)) is not None:
            self._show(entry)
            blob = self._blobs.pop(entry, None)
            try:
                on_read = partial(self._hand_over, entry)
                written = self._executor.store(self._layers[entry.work.layer_id], blob, on_read)
            except BaseException as error:
                self._fail(entry, error)
            else:
                self._tell(self._schedule.durable, entry)
                with self._changed:
                    self.written_bytes += written
            finally:
                if blob is not None:
                    blob.close()
                self._tell(self._schedule.leave, entry)

    def _hand_over(self, entry: ScheduledLayer, layer: ReadLayer) -> None:
        with self._changed:
            self._read[entry] = layer
            self._schedule.read(entry)
            self._show(entry)
            self._changed.notify_all()

    # --- closing, in one thread ---

    def _close_some(self) -> None:
        while (first := self._next(self._schedule.next_tree)) is not None:
            layers = [first]
            try:
                self._close(self._group(), layers)
            except BaseException as error:
                for entry in layers:
                    self._fail(entry, error)

    def _close(self, group: LayerGroup, layers: list[ScheduledLayer]) -> None:
        with group.writing():
            self._write(group, layers[0])
            while (entry := self._next_of(layers)) is not None:
                layers.append(entry)
                self._write(group, entry)
        sound = [entry for entry in layers if entry.state is State.CLOSING]
        if sound:
            group.commit(self._layers[entry.work.layer_id].layer for entry in sound)
        self.written_bytes += group.written_bytes
        for entry in sound:
            self._tell(self._schedule.closed, entry)

    def _write(self, group: LayerGroup, entry: ScheduledLayer) -> None:
        with self._changed:
            layer = self._read.pop(entry, None)
        if layer is None:
            return  # its files could not be made durable, meanwhile
        try:
            group.write(self._layers[entry.work.layer_id].layer, layer)
        except Fault as fault:
            self._fail(entry, fault)

    def _next_of(self, layers: Sequence[ScheduledLayer]) -> ScheduledLayer | None:
        """Wait for another layer whose tree can be written. Return None once the files of the
        group's layers are durable, so that the group waits no longer."""
        with self._changed:
            while (entry := self._schedule.next_tree()) is None:
                if all(taken.state is not State.TAKEN for taken in layers):
                    return None
                self._changed.wait()
            return entry
