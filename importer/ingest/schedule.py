"""Decide which layer is fetched, read and closed next, without threads or files.

`importer.ingest.layer_pool` asks and reports; a simulation can do the same in virtual time.
`scheduled_layer.py` has the states of a layer.

A blob is fetched into a file, and a job reads that file while it grows. A layer without a blob is
read from WAITING. Downloads, jobs and closing all go through the layers in one order, the plan:
parents before children, and else the layers that most images wait for, then the largest. Of the
first layers of the plan, whose trees may be in memory together, downloads and jobs both take the
largest first. So the first layer that is not over can always be closed, and no blob that is here
keeps an earlier one from being fetched.

A layer is taken once its parent is CLOSING or CLOSED, since the tree of a layer depends on the
files below it. Four budgets bound the work: blobs that are fetched at once, bytes of blobs that
wait for a job, layers that are READING, and layers from READING to CLOSING, whose trees are in
memory.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from importer.ingest.scheduled_layer import OVER, ScheduledLayer, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from importer.ingest.budget import Budget
    from importer.ingest.scheduled_layer import Work

_ORDER = attrgetter("order")


class Schedule:
    """The layers of an import, each after the one below it. Not for several threads at once."""

    def __init__(self, budget: Budget, layers: Iterable[Work]) -> None:
        """`layers` have parents before children."""
        self._budget = budget
        self.entries: dict[str, ScheduledLayer] = {}
        for work in layers:
            parent = self.entries.get(work.parent_id or "")
            entry = self.entries[work.layer_id] = ScheduledLayer(work, parent)
            if parent is not None:
                parent.children.append(entry)
        self._open = dict.fromkeys(_planned(list(self.entries.values())))
        self._downloading: set[ScheduledLayer] = set()
        self._spooled: set[ScheduledLayer] = set()
        self._reading: set[ScheduledLayer] = set()

    @property
    def is_over(self) -> bool:
        """Return whether every layer is CLOSED or FAILED."""
        return not self._open

    def _first(self) -> Iterator[ScheduledLayer]:
        """Yield the layers whose trees may be in memory: the first that are not over; more of them
        while they are small. A layer of unknown size counts as large."""
        size = 0
        for number, entry in enumerate(islice(self._open, self._budget.closed_together)):
            size += entry.work.size or self._budget.small
            if number >= self._budget.unclosed and size >= self._budget.small:
                return
            yield entry

    # --- downloads ---

    def next_download(self) -> ScheduledLayer | None:
        """Choose a blob to fetch, or None if there is none, no connection or no room."""
        if len(self._downloading) >= self._budget.downloads:
            return None
        first = filter(_can_be_fetched, self._first())
        chosen = min(first, key=_ORDER, default=None)
        chosen = chosen or next(filter(_can_be_fetched, self._open), None)
        if chosen is None or not self._fits(chosen):
            return None
        chosen.moves("download")
        self._downloading.add(chosen)
        self._spooled.add(chosen)
        return chosen

    def _fits(self, entry: ScheduledLayer) -> bool:
        """Return whether the spool has room for a blob. A blob larger than the spool is fetched
        when no other blob waits for a job."""
        held = sum(spooled.work.size for spooled in self._spooled)
        return not self._spooled or held + entry.work.size <= self._budget.spool

    def end_download(self, entry: ScheduledLayer) -> None:
        """Give the connection back: the blob is here, or its download has failed."""
        self._downloading.discard(entry)
        if entry.state is State.DOWNLOADING:
            entry.moves("spooled")

    # --- reading ---

    def next_read(self) -> ScheduledLayer | None:
        """Choose a layer to read, or None if there is none, or no job free.

        Choose from the first layers of the plan alone: the first layer can always be closed, so
        that layers with trees in memory never wait for each other.
        """
        if len(self._reading) >= self._budget.jobs:
            return None
        chosen = min(filter(_can_begin, self._first()), key=_ORDER, default=None)
        if chosen is not None:
            chosen.moves("begin")
            self._spooled.discard(chosen)
            self._reading.add(chosen)
        return chosen

    def read(self, entry: ScheduledLayer) -> None:
        """Note that a layer's tree is in memory, unless a layer below has failed meanwhile."""
        self.leave(entry)
        if entry.state is not State.FAILED:
            entry.moves("read")

    def durable(self, entry: ScheduledLayer) -> None:
        """Note that a layer's files are durable, unless a layer below has failed meanwhile."""
        if entry.state is not State.FAILED:
            entry.moves("durable")

    def leave(self, entry: ScheduledLayer) -> None:
        """Release the layer's job. Idempotent."""
        self._reading.discard(entry)

    # --- closing ---

    def next_tree(self) -> ScheduledLayer | None:
        """Choose a layer whose tree can be written, or None if there is none."""
        chosen = next((entry for entry in self._first() if entry.is_ready), None)
        if chosen is not None:
            chosen.moves("take")
        return chosen

    def closed(self, entry: ScheduledLayer) -> None:
        entry.moves("closed")
        del self._open[entry]

    def fail(self, entry: ScheduledLayer) -> Iterator[ScheduledLayer]:
        """Note that a layer has failed. Yield it, and those above it that fail with it."""
        work = [entry]
        while work:
            failed = work.pop()
            if failed.state in OVER:
                continue
            failed.state = State.FAILED
            del self._open[failed]
            self._spooled.discard(failed)
            yield failed
            work.extend(failed.children)


def _can_be_fetched(entry: ScheduledLayer) -> bool:
    return entry.work.is_remote and entry.state is State.WAITING


def _can_begin(entry: ScheduledLayer) -> bool:
    if entry.work.is_remote:
        return entry.state in (State.DOWNLOADING, State.SPOOLED)
    return entry.state is State.WAITING


def _planned(entries: Sequence[ScheduledLayer]) -> Iterator[ScheduledLayer]:
    """Yield parents before children, and else by `ScheduledLayer.order`. If a layer above another
    would come before it, the lower one takes that place."""
    order = {entry: entry.order for entry in entries}
    for entry in reversed(entries):
        if entry.parent is not None:
            order[entry.parent] = min(order[entry.parent], order[entry])
    number = {entry: number for number, entry in enumerate(entries)}
    ready = [(order[entry], number[entry], entry) for entry in entries if entry.parent is None]
    heapify(ready)
    while ready:
        *_, entry = heappop(ready)
        yield entry
        for child in entry.children:
            heappush(ready, (order[child], number[child], child))
