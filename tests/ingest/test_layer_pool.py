"""Layers side by side: which order they keep, and what a failure does to the others."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from importer.errors import ClusterError
from importer.ingest.budget import Budget
from importer.ingest.layer_pool import LayerPool
from importer.ingest.missing_layer import MissingLayer
from importer.progress import Silence
from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.manifest import Descriptor
from tests.tools import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from importer.cache.batch import LayerGroup
    from importer.ingest.executor import ReadBy
    from importer.ingest.missing_layer import Origin
    from importer.ingest.spool import SpooledBlob
    from importer.progress import Progress
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import ReadLayer


class Layer:
    """As much of an ImageLayer as the pool looks at."""

    def __init__(self, number: int, parents: int) -> None:
        self.id = str(number)
        self.diff_id = Digest.of(b"%d" % number)
        self.parents = tuple(str(number - 1 - below) for below in range(parents))


def chain(count: int) -> list[ImageLayer]:
    return [cast("ImageLayer", Layer(number, number)) for number in range(count)]


class Log:
    """What was done with which layer, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def add(self, what: str, layer: str) -> None:
        with self._lock:
            self.events.append((what, layer))

    def of(self, what: str) -> list[str]:
        return [layer for kind, layer in self.events if kind == what]


type Fail = Callable[[str, str], None]


def pass_by(_: str, __: str) -> None:
    """Nothing fails."""


class Together:
    """A group that logs; `fail` is asked before each layer's step."""

    written_bytes = 1

    def __init__(self, log: Log, fail: Fail = pass_by) -> None:
        self._log = log
        self._fail = fail
        self._written: list[str] = []

    @contextmanager
    def writing(self) -> Iterator[None]:
        yield

    def write(self, layer: ImageLayer, found: Any) -> None:
        assert found == layer.id
        self._fail("write", layer.id)
        self._log.add("write", layer.id)
        self._written.append(layer.id)

    def commit(self, layers: Iterable[ImageLayer]) -> None:
        for layer in layers:
            assert layer.id in self._written
            self._fail("commit", layer.id)
            self._log.add("commit", layer.id)


@dataclass(frozen=True)
class Place:
    """As much of an Origin as the pool looks at: a layer on this machine, or a blob elsewhere."""

    size: int
    blob: Descriptor | None = None


class Working:
    """An executor that logs; `fail` is asked before each layer's step."""

    def __init__(self, log: Log, fail: Fail = pass_by) -> None:
        self._log = log
        self._fail = fail
        self.stopped = threading.Event()
        self.closed = False
        self.read_bytes = 0
        self.readers: dict[str, ReadBy] = {}

    def budget(self, asked: Budget) -> Budget:
        return asked

    def fetch(self, missing: MissingLayer, into: SpooledBlob) -> None:
        try:
            self._fail("fetch", missing.layer.id)
            self._log.add("fetch", missing.layer.id)
        except LayerError as error:
            into.end(error)
        else:
            into.end()

    def store(
        self, missing: MissingLayer, blob: SpooledBlob | None, found: Callable[[ReadLayer], None]
    ) -> int:
        layer = missing.layer.id
        if blob is not None:
            blob.check()
            self._log.add("unspool", layer)
        self._fail("read", layer)
        self._log.add("read", layer)
        found(cast("ReadLayer", layer))
        self._fail("store", layer)
        return 0

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        self.closed = True


BLOB = Descriptor("application/octet-stream", Digest.of(b""), 1)
TWO_JOBS = Budget(downloads=0, jobs=2, spool=0)


def missing(
    layers: Sequence[ImageLayer], sizes: Sequence[int] = (), blob: Descriptor | None = None
) -> list[MissingLayer]:
    """All of them on this machine, or all blobs of a registry."""
    places = [Place(size, blob) for size in sizes or [0] * len(layers)]
    return [
        MissingLayer(layer, (cast("Origin", place),))
        for layer, place in zip(layers, places, strict=True)
    ]


def pool_of(
    log: Log,
    fail: Fail = pass_by,
    working: Working | None = None,
    budget: Budget = TWO_JOBS,
    spool: Path = Path("/var/tmp"),
    told: Progress | None = None,
) -> LayerPool:
    """`fail` is asked before each step of reading, and of closing."""
    executor = working or Working(log, fail)

    def group() -> LayerGroup:
        return cast("LayerGroup", Together(log, fail))

    return LayerPool(executor, group, budget, spool, told or Silence())


def failing(what: str, number: int, kind: str, layer: str) -> None:
    if (kind, layer) == (what, str(number)):
        raise LayerError(f"{what} {number}")


def test_parents_are_closed_first_and_all_are_done() -> None:
    log = Log()
    pool = pool_of(log)
    assert pool.run(missing(chain(127))) == {}
    numbers = [str(number) for number in range(127)]
    assert log.of("write") == log.of("commit") == numbers
    assert sorted(log.of("read"), key=int) == numbers
    assert 0 < pool.written_bytes <= 127


def meet(what: str, both: threading.Barrier, kind: str, _: str) -> None:
    """Wait for the other in this step, and in no other step."""
    if kind == what:
        both.wait()


def test_layers_are_read_while_the_one_below_is() -> None:
    """Both wait for the other."""
    log, reading = Log(), partial(meet, "read", threading.Barrier(2, timeout=patience.SECONDS))
    pool_of(log, reading).run(missing(chain(2)))
    assert log.of("commit") == ["0", "1"]


def test_a_tree_is_made_while_the_files_are_stored() -> None:
    """The one waits for the other; and nothing is committed before both are done."""
    log, both = Log(), threading.Barrier(2, timeout=patience.SECONDS)

    def step(kind: str, layer: str) -> None:
        meet("store", both, kind, layer)
        meet("write", both, kind, layer)

    pool_of(log, step).run(missing(chain(1)))
    assert [kind for kind, _ in log.events] == ["read", "write", "commit"]


def test_layers_that_are_there_together_are_closed_together() -> None:
    """The one above is read before the one below is durable."""
    log, above = Log(), threading.Event()

    def storing(kind: str, layer: str) -> None:
        if (kind, layer) == ("store", "1"):
            above.set()
        assert (kind, layer) != ("store", "0") or above.wait(patience.SECONDS)

    pool = pool_of(log, storing)
    pool.run(missing(chain(2)))
    assert [one for one in log.events if one[0] != "read"] == [
        ("write", "0"),
        ("write", "1"),
        ("commit", "0"),
        ("commit", "1"),
    ]
    assert pool.written_bytes == 1


def test_no_tree_is_made_before_those_below_it_can_be_read() -> None:
    """What is durable can be."""
    log, durable = Log(), threading.Event()

    def step(kind: str, layer: str) -> None:
        if (kind, layer) == ("store", "0"):
            durable.set()
        assert kind != "write" or layer == "0" or durable.is_set()

    for _ in range(20):
        durable.clear()
        pool_of(log, step).run(missing(chain(2)))


def test_the_largest_are_read_first_but_none_waits_for_ever() -> None:
    """Of the first five that have not ended; none ends before the first. 9 and 8 are as large."""
    log, sizes = Log(), [1, 3, 8, 2, 9, 16, 7]
    budget = Budget(downloads=0, jobs=1, spool=0, beside=4, small=0)
    pool_of(log, budget=budget).run(missing(chain(7), sizes))
    assert [sizes[int(layer)] for layer in log.of("read")][:5] == [8, 9, 3, 2, 1]
    assert log.of("commit") == [str(number) for number in range(7)]


def test_what_many_images_wait_for_is_read_first() -> None:
    log = Log()
    budget = Budget(downloads=0, jobs=1, spool=0)
    layers = missing([cast("ImageLayer", Layer(n, 0)) for n in range(4)], [1, 9, 5, 7])
    layers = [replace(one, waiting=2) if one.size < 6 else one for one in layers]
    pool_of(log, budget=budget).run(layers)
    assert log.of("read") == ["2", "0", "1", "3"]


def test_layers_are_read_while_others_are_on_their_way_to_the_disk() -> None:
    """Five are; and two at once are read, as ever."""
    log, all_read = Log(), threading.Event()
    reading, most = 0, 0

    def step(kind: str, _: str) -> None:
        nonlocal reading, most
        if kind == "read":
            reading += 1
            most = max(most, reading)
            reading -= 1
            if len(log.of("read")) == 4:
                all_read.set()
        elif kind == "store":
            assert all_read.wait(patience.SECONDS)

    pool_of(log, step).run(missing(chain(5)))
    assert sorted(log.of("commit")) == [str(number) for number in range(5)]
    assert most <= 2


@pytest.mark.parametrize("what", ["read", "store", "write"])
def test_what_is_above_a_layer_that_failed_is_not_committed(what: str) -> None:
    log = Log()
    fail = partial(failing, what, 3)
    working = Working(log, fail)
    with pytest.raises(LayerError, match=f"{what} 3"):
        pool_of(log, fail, working).run(missing(chain(20)))
    assert working.stopped.is_set()
    assert working.closed
    assert log.of("commit") == ["0", "1", "2"]
    assert "3" not in log.of("write") or what == "store"


def test_a_commit_that_fails_fails_its_group_and_what_is_above() -> None:
    log = Log()
    faults = pool_of(log, partial(failing, "commit", 3)).run(missing(chain(20)), keep_going=True)
    assert log.of("commit") == ["0", "1", "2"]
    assert faults.keys() >= {str(n) for n in range(3, 20)}  # and what is closed with it
    assert {str(fault) for fault in faults.values()} == {"commit 3"}


def test_a_lost_cluster_is_the_error_even_where_it_is_to_keep_going() -> None:
    def fail(step: str, layer: str) -> None:
        if (step, layer) == ("read", "3"):
            raise ClusterError("lost")

    alone = [cast("ImageLayer", Layer(number, 0)) for number in range(6)]
    with pytest.raises(ClusterError):
        pool_of(Log(), fail).run(missing(alone), keep_going=True)


def test_blobs_that_the_executor_fetches_itself_are_not_spooled() -> None:
    """As a cluster's workers do: the budget has no downloads."""
    log = Log()
    layers = missing(chain(4), [10] * 4, BLOB)
    pool_of(log, budget=Budget(downloads=0, jobs=4)).run(layers)
    assert sorted(log.of("read")) == ["0", "1", "2", "3"]
    assert log.of("fetch") == log.of("unspool") == []


def test_the_others_go_on_where_it_is_to_keep_going() -> None:
    log = Log()
    alone = [cast("ImageLayer", Layer(number, 0)) for number in range(10)]
    faults = pool_of(log, partial(failing, "read", 3)).run(missing(alone), keep_going=True)
    assert sorted(log.of("commit")) == [str(number) for number in range(10) if number != 3]
    assert faults.keys() == {"3"}


@pytest.mark.parametrize("kind", ["fetch", "read", "write", "commit"])
def test_a_bug_ends_it_and_is_shown(kind: str) -> None:
    """Also where it is to keep going; and nobody waits for ever."""

    fetching = threading.Event()

    def step(what: str, layer: str) -> None:
        if what == "fetch":
            fetching.set()
        assert what != "read" or fetching.wait(patience.SECONDS)
        if what == kind and (what == "fetch" or layer == "1"):
            raise ZeroDivisionError

    budget = Budget(downloads=2, jobs=1, spool=100)
    layers = missing(chain(4), [1] * 4, BLOB)
    with pytest.raises(ZeroDivisionError):
        pool_of(Log(), step, budget=budget).run(layers, keep_going=True)


def test_no_layer_is_no_work() -> None:
    log = Log()
    assert pool_of(log).run([]) == {}
    assert log.events == []


def test_blobs_are_fetched_while_no_job_is_free() -> None:
    """The one job waits until all that the spool has room for are fetched, besides its own."""
    log, fetched = Log(), threading.Event()

    def step(kind: str, _: str) -> None:
        if kind == "fetch" and len(log.of("fetch")) == 3:
            fetched.set()
        assert kind != "read" or fetched.wait(patience.SECONDS)

    budget = Budget(downloads=2, jobs=1, spool=35)
    layers = missing([cast("ImageLayer", Layer(n, 0)) for n in range(6)], [10] * 6, BLOB)
    pool_of(log, step, budget=budget).run(layers)
    assert sorted(log.of("fetch")) == sorted(log.of("unspool")) == [str(n) for n in range(6)]
    assert sorted(log.of("commit")) == [str(n) for n in range(6)]


def test_blobs_that_do_not_fit_into_the_spool_are_fetched_one_by_one() -> None:
    log = Log()
    budget = Budget(downloads=2, jobs=1, spool=35)
    pool_of(log, budget=budget).run(missing(chain(6), [36] * 6, BLOB))
    assert log.of("fetch") == log.of("commit") == [str(n) for n in range(6)]


def test_who_reads_a_blob_hears_why_it_was_not_fetched() -> None:
    log, fetching = Log(), threading.Event()

    def step(kind: str, layer: str) -> None:
        if kind == "fetch":
            fetching.set()
            raise LayerError(f"fetch {layer}")
        assert kind != "read" or fetching.wait(patience.SECONDS)

    budget = Budget(downloads=2, jobs=1, spool=35)
    faults = pool_of(log, step, budget=budget).run(
        missing([cast("ImageLayer", Layer(n, 0)) for n in range(6)], [10] * 6, BLOB),
        keep_going=True,
    )
    assert faults
    assert {str(fault) for fault in faults.values()} == {f"fetch {n}" for n in faults}
    assert len(log.of("commit")) == 6 - len(faults)


class Told(Silence):
    """A progress that keeps what it is told of layers."""

    def __init__(self) -> None:
        self.states: dict[str, list[str]] = {}

    def layer(self, name: str, size: int, state: str) -> None:
        assert size == 7
        self.states.setdefault(name, []).append(state)


def test_each_layers_states_are_told() -> None:
    told, log = Told(), Log()
    fail = partial(failing, "read", 2)
    pool_of(log, fail, told=told).run(missing(chain(4), [7] * 4), keep_going=True)
    assert len(told.states) == 4
    each = list(told.states.values())
    assert {tuple(dict.fromkeys(states)) for states in each[:2]} == {
        ("waiting", "unpacking", "closing", "done")
    }
    assert [states[0] for states in each] == ["waiting"] * 4
    assert [states[-1] for states in each] == ["done", "done", "failed", "failed"]
