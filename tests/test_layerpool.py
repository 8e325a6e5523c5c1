"""Layers side by side: which order they keep, and what a failure does to the others."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from importer.layerpool import LayerPool
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.layer import ReadLayer
    from importer.writers import Writers
    from layers.image import ImageLayer


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


def submit(
    pool: LayerPool, log: Log, layer: ImageLayer, fail: Callable[[str, str], None] | None = None
) -> None:
    def read(_: Writers) -> ReadLayer:
        log.add("read", layer.id)
        if fail is not None:
            fail("read", layer.id)
        return cast("ReadLayer", layer.id)

    def close(found: Any) -> None:
        assert found == layer.id
        log.add("close", layer.id)
        if fail is not None:
            fail("close", layer.id)

    pool.submit(layer, read, close)


def failing(what: str, number: int, kind: str, layer: str) -> None:
    if (kind, layer) == (what, str(number)):
        raise LayerError(f"{what} {number}")


def test_parents_are_closed_first_and_all_are_done() -> None:
    log = Log()
    with LayerPool() as pool:
        for layer in chain(127):
            submit(pool, log, layer)
        pool.wait(lambda: None)
    assert log.of("close") == [str(number) for number in range(127)]
    assert sorted(log.of("read"), key=int) == log.of("close")


def meet(both: threading.Barrier, kind: str, _: str) -> None:
    if kind == "read":
        both.wait()


def test_layers_are_read_while_the_one_below_is() -> None:
    """Both wait for the other."""
    both = threading.Barrier(2, timeout=60)
    log = Log()
    with LayerPool() as pool:
        for layer in chain(2):
            submit(pool, log, layer, partial(meet, both))
        pool.wait(lambda: None)
    assert log.of("close") == ["0", "1"]


@pytest.mark.parametrize("what", ["read", "close"])
def test_what_is_above_a_layer_that_failed_is_not_closed(what: str) -> None:
    log, stopped = Log(), threading.Event()
    with LayerPool() as pool:
        for layer in chain(20):
            submit(pool, log, layer, partial(failing, what, 3))
        with pytest.raises(LayerError, match=f"{what} 3"):
            pool.wait(stopped.set)
    assert stopped.is_set()
    assert log.of("close") == ["0", "1", "2", "3"][: 3 if what == "read" else 4]


def test_the_others_go_on_where_nobody_waits_for_the_first_error() -> None:
    log = Log()
    alone = [cast("ImageLayer", Layer(number, 0)) for number in range(10)]
    with LayerPool() as pool:
        for layer in alone:
            submit(pool, log, layer, partial(failing, "read", 3))
    assert sorted(log.of("close")) == [str(number) for number in range(10) if number != 3]
    assert isinstance(pool.done["3"].exception(), LayerError)
