"""Decide which layer is fetched, read and closed next, without threads or files.

`importer.ingest.layer_pool` asks and reports; a simulation can do the same in virtual time. The
state of a layer, and what moves it on:

    WAITING      nothing is begun          download -> DOWNLOADING   begin -> READING
    DOWNLOADING  its blob is being spooled spooled  -> SPOOLED       begin -> READING
    SPOOLED      its blob is spooled                                 begin -> READING
    READING      a job reads its blob      found    -> READ
    READ         its tree is in memory     durable  -> DURABLE       take  -> TAKEN
    DURABLE      its files are durable                               take  -> CLOSING
    TAKEN        its tree is being written durable  -> CLOSING
    CLOSING      both                      closed   -> CLOSED
    CLOSED       its branches are set
    FAILED       from any but CLOSED, by an error; every layer above it fails with it

A layer is taken once its parent is CLOSING or CLOSED, since the tree of a layer depends on the
files below it. Three budgets bound the work: blobs that are fetched at once (DOWNLOADING, and
READING from the registry), layers that are READING, and layers from READING to CLOSING, whose
trees are in memory.

A job takes a spooled blob before one that is still coming, and that before one that is not begun:
a job that reads no faster than the registry sends would keep whole blobs waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from importer.ingest.budget import Budget


class State(Enum):
    """The state of a layer; the table at the top of this file has the transitions."""

    WAITING = auto()
    DOWNLOADING = auto()
    SPOOLED = auto()
    READING = auto()
    READ = auto()
    DURABLE = auto()
    TAKEN = auto()
    CLOSING = auto()
    CLOSED = auto()
    FAILED = auto()


_NEXT: dict[tuple[State, str], State] = {
    (State.WAITING, "download"): State.DOWNLOADING,
    (State.WAITING, "begin"): State.READING,
    (State.DOWNLOADING, "spooled"): State.SPOOLED,
    (State.DOWNLOADING, "begin"): State.READING,
    (State.SPOOLED, "begin"): State.READING,
    (State.READING, "found"): State.READ,
    (State.READ, "durable"): State.DURABLE,
    (State.READ, "take"): State.TAKEN,
    (State.DURABLE, "take"): State.CLOSING,
    (State.TAKEN, "durable"): State.CLOSING,
    (State.CLOSING, "closed"): State.CLOSED,
}
NOT_BEGUN = frozenset({State.WAITING, State.DOWNLOADING, State.SPOOLED})
_OVER = frozenset({State.CLOSED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Work:
    """A layer's part in the schedule.

    `size` in bytes is what there is to read. `waiting` counts the images that need the layer.
    `is_remote` says that its blob takes a download.
    """

    layer_id: str
    parent_id: str | None
    size: int
    waiting: int = 1
    is_remote: bool = True


@dataclass(slots=True, eq=False)
class Entry:
    """A layer in the schedule. `parent` is None where the layer below is closed already."""

    work: Work
    parent: Entry | None
    state: State = State.WAITING
    children: list[Entry] = field(default_factory=list)

    def moves(self, event: str) -> None:
        """Change the state. KeyError, a bug of ours, if the event cannot happen in this state."""
        self.state = _NEXT[self.state, event]

    @property
    def is_ready(self) -> bool:
        """Return whether the tree can be written: it is read, the parent is CLOSING or CLOSED."""
        if self.state not in (State.READ, State.DURABLE):
            return False
        return self.parent is None or self.parent.state in (State.CLOSING, State.CLOSED)

    @property
    def order(self) -> tuple[int, int]:
        """Return the sort key of the queue: layers that the most others wait for first, then the
        largest, so that no large layer is left alone at the end. Sizes up to twice as large are
        taken as equal, since lower layers can be closed first."""
        return (-self.work.waiting, -self.work.size.bit_length())


class Schedule:
    """The layers of an import, each after the one below it. Not for several threads at once."""

    def __init__(self, budget: Budget, layers: Iterable[Work]) -> None:
        """`layers` have parents before children."""
        self._budget = budget
        self.entries: dict[str, Entry] = {}
        for work in layers:
            parent = self.entries.get(work.parent_id or "")
            entry = self.entries[work.layer_id] = Entry(work, parent)
            if parent is not None:
                parent.children.append(entry)
        self._open = dict.fromkeys(self.entries.values())
        self._downloading: set[Entry] = set()
        self._spooled: set[Entry] = set()
        self._reading: set[Entry] = set()

    @property
    def is_over(self) -> bool:
        """Return whether every layer is CLOSED or FAILED."""
        return not self._open

    def _first(self) -> Iterator[Entry]:
        """Yield the layers whose trees may be in memory: the first that are not over; more of them
        while they are small. A layer of unknown size is not."""
        size = 0
        for number, entry in enumerate(islice(self._open, self._budget.closed_together)):
            size += entry.work.size or self._budget.small
            if number >= self._budget.unclosed and size >= self._budget.small:
                return
            yield entry

    # --- downloads ---

    def next_download(self) -> Entry | None:
        """Choose a blob to spool, or None if there is none, no connection or no room."""
        if len(self._downloading) >= self._budget.downloads or self._job_is_free():
            return None
        remote = (e for e in self._open if e.state is State.WAITING and e.work.is_remote)
        room = self._room()
        chosen = min((e for e in remote if e.work.size <= room), key=_order, default=None)
        if chosen is not None:
            chosen.moves("download")
            self._downloading.add(chosen)
            self._spooled.add(chosen)
        return chosen

    def _job_is_free(self) -> bool:
        """Return whether a job will take a blob at once, so that it need not be spooled."""
        return len(self._reading) < self._budget.jobs and any(map(self._can_begin, self._first()))

    def end_download(self, entry: Entry) -> None:
        """Give the connection back: the blob is spooled, or its download has failed."""
        self._downloading.discard(entry)
        if entry.state is State.DOWNLOADING:
            entry.moves("spooled")
        elif entry.state is State.FAILED and entry not in self._reading:
            self._spooled.discard(entry)

    def is_spooled(self, entry: Entry) -> bool:
        """Return whether the blob is in the spool, or on its way into it."""
        return entry in self._spooled

    # --- reading ---

    def next_read(self) -> Entry | None:
        """Choose a layer to read, or None if there is none, or no job free.

        Only the first layers that are not over are chosen from: the first of them can always be
        closed, so that the layers whose trees are in memory do not wait for each other.
        """
        if len(self._reading) >= self._budget.jobs:
            return None
        can_begin = filter(self._can_begin, self._first())
        chosen = min(can_begin, key=_whole_first, default=None)
        if chosen is not None:
            if chosen.state is State.WAITING and chosen.work.is_remote:
                self._downloading.add(chosen)
            chosen.moves("begin")
            self._reading.add(chosen)
        return chosen

    def _can_begin(self, entry: Entry) -> bool:
        if entry.state is not State.WAITING or not entry.work.is_remote:
            return entry.state in NOT_BEGUN
        if len(self._downloading) >= self._budget.downloads:
            return False
        # A job that unpacks a blob as it comes keeps a connection for as long as it computes. With
        # more jobs than connections, some of those are left for blobs that are fetched faster.
        streaming = len(self._downloading & self._reading)
        many = self._budget.jobs >= self._budget.downloads and entry.work.size <= self._room()
        return not many or streaming < max(1, self._budget.downloads // 2)

    def _room(self) -> int:
        """Return the bytes that still fit into the spool."""
        return self._budget.spool - sum(one.work.size for one in self._spooled)

    def found(self, entry: Entry) -> None:
        """Note that a layer's tree is here, unless a layer below has failed meanwhile."""
        self.leave(entry)
        if entry.state is not State.FAILED:
            entry.moves("found")

    def durable(self, entry: Entry) -> None:
        """Note that a layer's files are durable, unless a layer below has failed meanwhile."""
        if entry.state is not State.FAILED:
            entry.moves("durable")

    def leave(self, entry: Entry) -> None:
        """Give the job back, with the connection and the room in the spool. Idempotent."""
        if entry in self._reading:
            self._reading.discard(entry)
            self._downloading.discard(entry)
            self._spooled.discard(entry)

    # --- closing ---

    def next_tree(self) -> Entry | None:
        """Choose a layer whose tree can be written now."""
        chosen = next((e for e in self._first() if e.is_ready), None)
        if chosen is not None:
            chosen.moves("take")
        return chosen

    def closed(self, entry: Entry) -> None:
        """Note that a layer has its branches."""
        entry.moves("closed")
        del self._open[entry]

    def fail(self, entry: Entry) -> Iterator[Entry]:
        """Note that a layer has failed. Yield it, and those above it that fail with it."""
        work = [entry]
        while work:
            one = work.pop()
            if one.state in _OVER:
                continue
            one.state = State.FAILED
            del self._open[one]
            if one not in self._reading and one not in self._downloading:
                self._spooled.discard(one)
            yield one
            work.extend(one.children)


def _order(entry: Entry) -> tuple[int, int]:
    return entry.order


_HASTE = {State.SPOOLED: 0, State.DOWNLOADING: 1, State.WAITING: 2}


def _whole_first(entry: Entry) -> tuple[int, tuple[int, int]]:
    """Return the sort key for jobs: whole blobs first, which keep a job at full speed and free the
    spool."""
    return (_HASTE[entry.state], entry.order)
