"""Chunks that are verified, and taken in pieces (layers/chunks.py)."""

from collections.abc import Generator, Iterable

import pytest

from layers.chunks import Buffer, DiffID, drain, verified
from layers.digest import Digest
from layers.errors import LayerError

DATA = bytes(range(256)) * 10


def pieces(data: bytes, size: int) -> Generator[bytes]:
    yield from (data[at : at + size] for at in range(0, len(data), size))


def chunks(parts: Iterable[bytes]) -> Generator[bytes]:
    yield from parts


@pytest.mark.parametrize("size", [1, 7, 2560, 10000])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_that_is_right(size: int, algorithm: str) -> None:
    found = verified(pieces(DATA, size), Digest.of(DATA, algorithm), len(DATA))
    assert b"".join(found) == DATA


def test_an_empty_blob() -> None:
    assert list(verified(chunks([]), Digest.of(b""), 0)) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (DATA[:-1], "ends after 2559 of 2560 bytes"),
        (b"", "ends after 0 of 2560 bytes"),
        (DATA + b"x", "longer than the 2560 bytes"),
        (DATA[:-1] + b"x", "content has digest sha256:"),
    ],
)
def test_a_blob_that_is_not(data: bytes, says: str) -> None:
    with pytest.raises(LayerError, match=says) as caught:
        drain(verified(pieces(data, 100), Digest.of(DATA), len(DATA)))
    assert caught.value.hint


def test_a_server_that_never_stops_is_left_at_once() -> None:
    def endless() -> Generator[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(LayerError, match="longer"):
        drain(verified(endless(), Digest.of(DATA), len(DATA)))


def test_whoever_stops_early_closes_the_source() -> None:
    closed = []

    def source() -> Generator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    stream = verified(source(), Digest.of(b"ab"), 2)
    next(stream)
    stream.close()
    assert closed == [True]


def test_a_diff_id_counts_and_compares() -> None:
    tar = DiffID(pieces(DATA, 100), Digest.of(DATA), 10_000)
    assert b"".join(tar) == DATA
    assert tar.size == len(DATA)
    with pytest.raises(LayerError, match="the config's diff_ids say"):
        drain(iter(DiffID(pieces(DATA, 100), Digest.of(b""), 10_000)))


def test_a_bomb_ends_at_the_bound() -> None:
    tar = DiffID(pieces(DATA, 100), Digest.of(DATA), 1000)
    with pytest.raises(LayerError, match="more than 1000 bytes") as caught:
        drain(iter(tar))
    assert "max-layer-size" in caught.value.hint
    assert tar.size <= 1100


@pytest.mark.parametrize("size", [1, 3, 512, 5000])
def test_a_buffer_gives_what_is_asked_for(size: int) -> None:
    buffer = Buffer(pieces(DATA, size))
    assert buffer.take(0) == b""
    assert buffer.take(10) == DATA[:10]
    assert b"".join(buffer.pieces(1000)) == DATA[10:1010]
    assert b"".join(buffer.rest()) == DATA[1010:]
    assert buffer.take(5) == b""


def test_a_buffer_gives_less_only_at_the_end() -> None:
    buffer = Buffer(pieces(DATA, 100))
    assert buffer.take(5000) == DATA
    assert list(buffer.pieces(1)) == []
