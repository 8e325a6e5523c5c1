"""Chunks that go from one thread to another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from importer.ingest import read_ahead
from importer.ingest.read_ahead import AbandonedError, Channel, ReadAhead
from layers.errors import LayerError
from tests.tools import patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.chunks import Chunks


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as running:
        yield running


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_all_chunks_in_order(pool: ThreadPoolExecutor) -> None:
    narrow = Channel(room=2)
    taken = pool.submit(list, iter(narrow))
    for chunk in numbered(1000):
        narrow.put(chunk)
    narrow.end()
    assert taken.result() == numbered(1000)


def test_an_error_comes_after_what_was_put_before(pool: ThreadPoolExecutor) -> None:
    broken = Channel()
    broken.put(b"a")
    broken.end(LayerError("broken"))
    taking = iter(broken)
    assert next(taking) == b"a"
    with pytest.raises(LayerError, match="broken"):
        next(taking)


def test_whoever_waits_for_room_learns_that_nobody_takes_any_more(pool: ThreadPoolExecutor) -> None:
    full = Channel(room=1)
    full.put(b"a")
    waiting = pool.submit(full.put, b"b")
    full.abandon()
    with pytest.raises(AbandonedError):
        waiting.result()


def test_no_more_is_read_ahead_than_there_is_room_for() -> None:
    """It waits with one chunk in its hand."""
    read: list[int] = []
    enough = threading.Event()

    def source() -> Chunks:
        for number in range(100):
            read.append(number)
            if number == read_ahead._ROOM:
                enough.set()
            yield b""

    with ReadAhead(source()) as ahead:
        assert enough.wait(patience.SECONDS)
        assert next(iter(ahead)) == b""
    assert len(read) in (read_ahead._ROOM + 1, read_ahead._ROOM + 2)


def test_an_error_of_the_source_is_raised_where_it_is_read() -> None:
    def source() -> Chunks:
        yield b"a"
        raise LayerError("broken")

    with pytest.raises(LayerError, match="broken"), ReadAhead(source()) as ahead:
        assert list(iter(ahead)) == []


def test_a_source_that_was_left_can_be_read_on() -> None:
    """As `drain` does, where the tar is no tar: the blob's digest tells more."""
    source = iter(numbered(100))
    with ReadAhead(source) as ahead:
        assert next(iter(ahead)) == b"0"
    rest = list(source)
    assert rest == numbered(100)[-len(rest) :]
    assert len(rest) > 80
