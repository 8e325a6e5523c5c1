"""Layers side by side: which order they keep, and what a failure does to the others."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from importer.ingest import scheduler
from importer.ingest.scheduler import LayerPool
from layers.errors import LayerError
from tests.tools import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from importer.ingest.worker_pool import Readers
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import ReadLayer


class Layer:
    """As much of an ImageLayer as the pool looks at."""

    def __init__(self, number: int, parents: int) -> None:
        self.id = str(number)
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


def pool_of(log: Log, fail: Fail = pass_by) -> LayerPool:
    return LayerPool(lambda: Together(log, fail))


def submit(
    pool: LayerPool, log: Log, layer: ImageLayer, fail: Fail = pass_by, size: int = 0
) -> None:
    def read(_: Readers, found: Callable[[ReadLayer], None]) -> None:
        fail("read", layer.id)
        log.add("read", layer.id)
        found(cast("ReadLayer", layer.id))
        fail("store", layer.id)

    pool.submit(layer, size, read)


def failing(what: str, number: int, kind: str, layer: str) -> None:
    if (kind, layer) == (what, str(number)):
        raise LayerError(f"{what} {number}")


def test_parents_are_closed_first_and_all_are_done() -> None:
    log = Log()
    with pool_of(log) as pool:
        for layer in chain(127):
            submit(pool, log, layer)
        pool.wait(lambda: None)
    numbers = [str(number) for number in range(127)]
    assert log.of("write") == log.of("commit") == numbers
    assert sorted(log.of("read"), key=int) == numbers
    assert 0 < pool.written_bytes <= 127


def meet(what: str, both: threading.Barrier, kind: str, _: str) -> None:
    if kind == what:
        both.wait()


def test_layers_are_read_while_the_one_below_is() -> None:
    """Both wait for the other."""
    log, reading = Log(), partial(meet, "read", threading.Barrier(2, timeout=patience.SECONDS))
    with pool_of(log) as pool:
        for layer in chain(2):
            submit(pool, log, layer, reading)
        pool.wait(lambda: None)
    assert log.of("commit") == ["0", "1"]


def test_a_tree_is_made_while_the_files_are_stored() -> None:
    """The one waits for the other; and nothing is committed before both are done."""
    log, both = Log(), threading.Barrier(2, timeout=patience.SECONDS)
    storing = partial(meet, "store", both)
    with pool_of(log, partial(meet, "write", both)) as pool:
        submit(pool, log, chain(1)[0], storing)
        pool.wait(lambda: None)
    assert [kind for kind, _ in log.events] == ["read", "write", "commit"]


def test_layers_that_are_there_together_are_closed_together() -> None:
    """The one above is read before the one below is durable."""
    log, above = Log(), threading.Event()

    def storing(kind: str, layer: str) -> None:
        if (kind, layer) == ("store", "1"):
            above.set()
        assert (kind, layer) != ("store", "0") or above.wait(patience.SECONDS)

    with pool_of(log) as pool:
        for layer in chain(2):
            submit(pool, log, layer, storing)
        pool.wait(lambda: None)
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

    def storing(kind: str, layer: str) -> None:
        if (kind, layer) == ("store", "0"):
            durable.set()

    def writing(_: str, layer: str) -> None:
        assert layer == "0" or durable.is_set()

    for _ in range(20):
        durable.clear()
        with pool_of(log, writing) as pool:
            for layer in chain(2):
                submit(pool, log, layer, storing)
            pool.wait(lambda: None)


def test_the_largest_are_read_first_but_none_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the first five that have not ended; none ends before the first."""
    monkeypatch.setattr(scheduler, "_READ", 1)
    log, sizes = Log(), [1, 2, 9, 3, 8, 10, 7]
    with pool_of(log) as pool:
        for layer, size in zip(chain(7), sizes, strict=True):
            submit(pool, log, layer, size=size)
        assert log.events == []
        pool.wait(lambda: None)
    assert [sizes[int(layer)] for layer in log.of("read")][:5] == [9, 8, 3, 2, 1]
    assert log.of("commit") == [str(number) for number in range(7)]


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

    with pool_of(log) as pool:
        for layer in chain(5):
            submit(pool, log, layer, step)
        pool.wait(lambda: None)
    assert sorted(log.of("commit")) == [str(number) for number in range(5)]
    assert most <= 2


def test_what_was_not_begun_is_not_read_where_the_caller_fails() -> None:
    log = Log()

    def fail() -> None:
        with pool_of(log) as pool:
            submit(pool, log, chain(1)[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert log.events == []


@pytest.mark.parametrize("what", ["read", "store", "write"])
def test_what_is_above_a_layer_that_failed_is_not_committed(what: str) -> None:
    log, stopped = Log(), threading.Event()
    fail = partial(failing, what, 3)
    with pool_of(log, fail) as pool:
        for layer in chain(20):
            submit(pool, log, layer, fail)
        with pytest.raises(LayerError, match=f"{what} 3"):
            pool.wait(stopped.set)
    assert stopped.is_set()
    assert log.of("commit") == ["0", "1", "2"]
    assert [name for name, done in pool.done.items() if done.exception() is None] == ["0", "1", "2"]
    assert "3" not in log.of("write") or what == "store"


def test_a_commit_that_fails_fails_its_group_and_what_is_above() -> None:
    log = Log()
    with pool_of(log, partial(failing, "commit", 3)) as pool:
        for layer in chain(20):
            submit(pool, log, layer)
        with pytest.raises(LayerError, match="commit 3"):
            pool.wait(lambda: None)
    assert log.of("commit") == ["0", "1", "2"]
    assert all(isinstance(pool.done[str(n)].exception(), LayerError) for n in range(3, 20))


def test_the_others_go_on_where_nobody_waits_for_the_first_error() -> None:
    log = Log()
    alone = [cast("ImageLayer", Layer(number, 0)) for number in range(10)]
    with pool_of(log) as pool:
        for layer in alone:
            submit(pool, log, layer, partial(failing, "read", 3))
    assert sorted(log.of("commit")) == [str(number) for number in range(10) if number != 3]
    assert isinstance(pool.done["3"].exception(), LayerError)
