"""The states of a layer in a schedule, and the events that change them:

WAITING      nothing is begun          download -> DOWNLOADING   begin -> READING
DOWNLOADING  its blob is being fetched spooled  -> SPOOLED       begin -> READING
SPOOLED      its blob is here                                    begin -> READING
READING      a job reads its blob      read     -> READ
READ         its tree is in memory     durable  -> DURABLE       take  -> TAKEN
DURABLE      its files are durable                               take  -> CLOSING
TAKEN        its tree is being written durable  -> CLOSING
CLOSING      both                      closed   -> CLOSED
CLOSED       its branches are set
FAILED       from any but CLOSED, by an error; every layer above it fails with it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from layers.frozen import frozen


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
    (State.READING, "read"): State.READ,
    (State.READ, "durable"): State.DURABLE,
    (State.READ, "take"): State.TAKEN,
    (State.DURABLE, "take"): State.CLOSING,
    (State.TAKEN, "durable"): State.CLOSING,
    (State.CLOSING, "closed"): State.CLOSED,
}
NOT_BEGUN = frozenset({State.WAITING, State.DOWNLOADING, State.SPOOLED})
OVER = frozenset({State.CLOSED, State.FAILED})


@frozen
class Work:
    """A layer's part in the schedule.

    `size` is how many bytes there are to read. `waiting` counts the images that need the layer.
    `is_remote` says that its blob takes a download.
    """

    layer_id: str
    parent_id: str | None
    size: int
    waiting: int = 1
    is_remote: bool = True


@dataclass(slots=True, eq=False)
class ScheduledLayer:
    """A layer in the schedule. `parent` is None if the layer below has its branches already."""

    work: Work
    parent: ScheduledLayer | None
    state: State = State.WAITING
    children: list[ScheduledLayer] = field(default_factory=list)

    def moves(self, event: str) -> None:
        """Change the state. KeyError, a bug of ours, if the event cannot happen in this state."""
        self.state = _NEXT[self.state, event]

    @property
    def is_ready(self) -> bool:
        """Return whether the tree is in memory, and the parent is CLOSING or CLOSED."""
        if self.state not in (State.READ, State.DURABLE):
            return False
        return self.parent is None or self.parent.state in (State.CLOSING, State.CLOSED)

    @property
    def order(self) -> tuple[int, int]:
        """Return the sort key of the plan: layers that most images wait for first, then the
        largest, so that no large layer is left alone at the end. Sizes up to twice as large are
        taken as equal, since lower layers can be closed first."""
        return (-self.work.waiting, -self.work.size.bit_length())
