"""The schedule alone: its budgets hold and it comes to an end, whatever happens in what order."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.ingest.budget import Budget
from importer.ingest.schedule import Schedule
from importer.ingest.scheduled_layer import ScheduledLayer, State, Work
from tests.tools.fuzz import examples


@st.composite
def layers(draw: st.DrawFn) -> list[Work]:
    """Chains that share some of their layers, parents before children."""
    found: list[Work] = []
    for number in range(draw(st.integers(1, 25))):
        parent = draw(st.sampled_from([None, *(work.layer_id for work in found)]))
        size, waiting = draw(st.integers(0, 100)), draw(st.integers(1, 3))
        found.append(Work(str(number), parent, size, waiting, draw(st.booleans())))
    return found


BUDGETS = st.builds(
    Budget,
    downloads=st.integers(1, 4),
    jobs=st.integers(1, 3),
    spool=st.integers(0, 150),
    beside=st.integers(0, 3),
    small=st.integers(0, 300),
)


@dataclass
class Machine:
    """Does what the schedule decides, in an order drawn at random; fails what it is told to."""

    schedule: Schedule
    budget: Budget
    source: random.Random
    failing: frozenset[str]
    downloading: list[ScheduledLayer] = field(default_factory=list)
    reading: list[ScheduledLayer] = field(default_factory=list)
    syncing: list[ScheduledLayer] = field(default_factory=list)
    closing: list[ScheduledLayer] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def run(self) -> None:
        """To the end; an import that stands still is an error."""
        while not self.schedule.is_over or self.reading or self.downloading:
            steps = [one for one in (self.begin, self.go_on) if one is not None]
            self.source.shuffle(steps)
            assert any(step() for step in steps), "nothing can be done, and it is not over"
            self.check()

    def begin(self) -> bool:
        choices = [self.download, self.read, self.take]
        self.source.shuffle(choices)
        return any(choice() for choice in choices)

    def download(self) -> bool:
        entry = self.schedule.next_download()
        if entry is not None:
            self.downloading.append(entry)
            self.fetched.append(entry.work.layer_id)
        return entry is not None

    def read(self) -> bool:
        entry = self.schedule.next_read()
        if entry is not None:
            self.reading.append(entry)
        return entry is not None

    def take(self) -> bool:
        entry = self.schedule.next_tree()
        if entry is not None:
            assert entry.parent is None or entry.parent.state in (State.CLOSING, State.CLOSED)
            self.closing.append(entry)
        return entry is not None

    def go_on(self) -> bool:
        steps = [self.end_download, self.end_reading, self.end_syncing, self.close]
        self.source.shuffle(steps)
        return any(step() for step in steps)

    def pick(self, entries: list[ScheduledLayer]) -> ScheduledLayer | None:
        return entries.pop(self.source.randrange(len(entries))) if entries else None

    def end_download(self) -> bool:
        entry = self.pick(self.downloading)
        if entry is not None:
            self.schedule.end_download(entry)
        return entry is not None

    def end_reading(self) -> bool:
        entry = self.pick(self.reading)
        if entry is None:
            return False
        if entry in self.downloading:  # its blob is still coming
            self.downloading.remove(entry)
            self.schedule.end_download(entry)
        if entry.work.layer_id in self.failing:
            list(self.schedule.fail(entry))
        else:
            self.schedule.read(entry)
            self.syncing.append(entry)
        self.schedule.leave(entry)
        return True

    def end_syncing(self) -> bool:
        entry = self.pick(self.syncing)
        if entry is not None:
            self.schedule.durable(entry)
        return entry is not None

    def close(self) -> bool:
        ready = [one for one in self.closing if one.state is State.CLOSING]
        for entry in ready:
            self.closing.remove(entry)
            self.schedule.closed(entry)
            self.closed.append(entry.work.layer_id)
        return bool(ready)

    def check(self) -> None:
        """The budgets hold."""
        entries = self.schedule.entries.values()
        assert len(self.downloading) <= self.budget.downloads
        assert len(self.reading) <= self.budget.jobs
        here = (State.DOWNLOADING, State.SPOOLED)
        waiting = [one.work.size for one in entries if one.state in here]
        assert sum(waiting) <= self.budget.spool or len(waiting) == 1
        in_memory = (State.READING, State.READ, State.DURABLE, State.TAKEN, State.CLOSING)
        trees = [one.work.size or self.budget.small for one in entries if one.state in in_memory]
        assert len(trees) <= self.budget.unclosed or sum(trees) < self.budget.small


@examples(100)
@given(layers(), BUDGETS, st.integers(0, 1 << 30), st.sets(st.integers(0, 24), max_size=3))
def test_every_layer_is_closed_or_failed_within_the_budgets(
    works: list[Work], budget: Budget, seed: int, failing: set[int]
) -> None:
    schedule = Schedule(budget, works)
    machine = Machine(schedule, budget, random.Random(seed), frozenset(map(str, failing)))
    machine.run()
    above: dict[str, bool] = {}
    for work in works:
        fails = work.layer_id in machine.failing or above.get(work.parent_id or "", False)
        above[work.layer_id] = fails
    for name, entry in schedule.entries.items():
        if entry.state is State.CLOSED:
            assert not above[name]
        else:
            assert (entry.state, above[name]) == (State.FAILED, True)
    order = {name: number for number, name in enumerate(machine.closed)}
    for work in works:
        if work.layer_id in order and work.parent_id is not None:
            assert order[work.parent_id] < order[work.layer_id]


def test_an_event_that_cannot_happen_is_an_error() -> None:
    entry = ScheduledLayer(Work("a", None, 1), None)
    with pytest.raises(KeyError):
        entry.moves("closed")


def fetched(works: list[Work], budget: Budget) -> list[str]:
    """The order in which blobs are fetched, and then read."""
    schedule, found = Schedule(budget, works), []
    while (entry := schedule.next_download()) is not None:
        found.append(entry.work.layer_id)
        assert schedule.next_read() is entry  # while it is coming
        schedule.read(entry)
        schedule.end_download(entry)
        schedule.durable(entry)
        while (ready := schedule.next_tree()) is not None:
            schedule.closed(ready)
    return found


def test_all_goes_in_the_order_of_the_plan() -> None:
    """Parents first, and else the layers that most images wait for, then the largest."""
    works = [
        Work("small", None, 1),
        Work("base", None, 2),
        Work("large", "base", 900),
        Work("middle", "small", 100),
        Work("shared", None, 3, waiting=5),
    ]
    order = ["shared", "base", "large", "small", "middle"]
    assert fetched(works, Budget(downloads=2, jobs=1, spool=0, beside=0, small=0)) == order


def test_no_blob_is_fetched_before_one_that_finds_no_room() -> None:
    works = [Work("a", None, 900), Work("b", None, 400), Work("c", None, 1)]
    schedule = Schedule(Budget(downloads=6, jobs=1, spool=1000), works)
    first = schedule.next_download()
    assert first is not None
    assert first.work.layer_id == "a"
    assert schedule.next_download() is None
    assert schedule.next_read() is first  # its blob waits for a job no more
    chosen = [schedule.next_download(), schedule.next_download()]
    assert [one.work.layer_id for one in chosen if one is not None] == ["b", "c"]


def test_many_small_layers_are_closed_together() -> None:
    """As far as their blobs have less than a budget together."""
    works = [Work(str(n), str(n - 1) if n else None, 2, is_remote=False) for n in range(20)]
    schedule = Schedule(Budget(downloads=0, jobs=1, beside=0, small=15), works)
    read = []
    while (entry := schedule.next_read()) is not None:
        schedule.read(entry)
        read.append(entry.work.layer_id)
    assert read == [str(n) for n in range(7)]
