"""Read sparse files, in the four formats that tars have.

Source: GNU tar's manual, "Storing Sparse Files": the old GNU format in the header block, and PAX
0.0, 0.1 and 1.0.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from layers.errors import LayerError
from layers.tar.header import BLOCK, GNU_MAGIC, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from layers.chunks import Chunks
    from layers.tar.pax import Pax

# 21 pieces fit one block of the old format, 1 MiB of PAX header holds far fewer than this.
MAX_PIECES = 100_000
HOLE = bytes(1 << 20)
_DECIMAL = re.compile(rb"[0-9]{1,19}")
_LINE = 20  # that many digits and a newline
_PAIR = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")


class SparseMap(NamedTuple):
    """A sparse file. `size` in bytes, holes included; `pieces` are the stored ones: (offset,
    length)."""

    size: int
    pieces: tuple[tuple[int, int], ...]


def old_gnu_map(header: bytes, take: Callable[[], bytes]) -> SparseMap:
    """Read the map of a type 'S' header block; `take` gives its extension blocks one by one."""
    if header[257:265] != GNU_MAGIC:
        raise LayerError("a type 'S' header that is not GNU's")  # star's has its map elsewhere
    pieces = _old_pieces(header[386:482], 4)
    extended = header[482]
    while extended:
        block = take()
        pieces += _old_pieces(block, 21)
        extended = block[504]
        if len(pieces) > MAX_PIECES:
            raise LayerError(f"sparse file in more than {MAX_PIECES} pieces")
    return SparseMap(number(header[483:495]), tuple(pieces))


def _old_pieces(data: bytes, count: int) -> list[tuple[int, int]]:
    pairs = takewhile(lambda p: p[0] != 0, (data[at : at + 24] for at in range(0, 24 * count, 24)))
    return [(number(p[:12]), number(p[12:])) for p in pairs]


def pax_map(pax: Pax, take: Callable[[], bytes]) -> SparseMap | None:
    """Read the map of PAX records; in format 1.0 `take` gives the blocks at the start of the data.
    Return None if there is no map."""
    if not pax.sparse:
        return None
    version = pax.value(b"GNU.sparse.major"), pax.value(b"GNU.sparse.minor")
    if version == (b"1", b"0"):
        return SparseMap(pax.number(b"GNU.sparse.realsize", -1), _map_in_data(take))
    # Only some writers of 0.0 and 0.1 say so.
    if version not in ((b"", b""), (b"0", b"0"), (b"0", b"1")):
        raise LayerError("PAX sparse format is neither 0.0, 0.1 nor 1.0")
    return _map_in_records(pax)


def _map_in_records(pax: Pax) -> SparseMap:
    size = pax.number(b"GNU.sparse.size", pax.number(b"GNU.sparse.realsize", -1))
    if pax.has(b"GNU.sparse.map"):
        pairs = _pairs(pax.value(b"GNU.sparse.map").split(b","))
    else:
        records = [(key, value) for key, value in pax.records if key in _PAIR]
        if any(key != _PAIR[n % 2] for n, (key, _) in enumerate(records)):
            raise LayerError("sparse map's records are out of order")
        pairs = _pairs([value for _, value in records])
    if pax.number(b"GNU.sparse.numblocks", len(pairs)) != len(pairs) or (size and not pairs):
        raise LayerError("sparse map is missing or not of the length it should have")
    return SparseMap(size, pairs)


def _map_in_data(take: Callable[[], bytes]) -> tuple[tuple[int, int], ...]:
    """Read decimal lines, padded to whole blocks. The first line is the number of pieces."""
    text = take()
    count = _decimal(text.partition(b"\n")[0])
    if count > MAX_PIECES:
        raise LayerError(f"sparse file in {count} pieces; the bound is {MAX_PIECES}")
    parts, lines = [text], text.count(b"\n")
    while lines < 1 + 2 * count:
        if len(parts) * BLOCK > (1 + 2 * count) * _LINE:
            raise LayerError("sparse map has lines longer than a number")
        parts.append(take())
        lines += parts[-1].count(b"\n")
    return _pairs(b"".join(parts).split(b"\n")[1 : 1 + 2 * count])


def _pairs(numbers: list[bytes]) -> tuple[tuple[int, int], ...]:
    if len(numbers) % 2:
        raise LayerError("sparse map has an offset without a length")
    values = [_decimal(n) for n in numbers]
    return tuple(zip(values[::2], values[1::2], strict=True))


def _decimal(text: bytes) -> int:
    if not _DECIMAL.fullmatch(text):
        raise LayerError(f"sparse map has {text[:40]!r} where a number belongs")
    return int(text)


def check_map(sparse: SparseMap, stored: int) -> None:
    """Raise LayerError unless the pieces are in order, disjoint, in the file, and all stored."""
    end = 0
    for offset, length in sparse.pieces:
        if offset < end or length < 0:
            raise LayerError("sparse map's pieces overlap or are out of order")
        end = offset + length
    if end > sparse.size or sum(length for _, length in sparse.pieces) != stored:
        raise LayerError(f"sparse map does not fit {sparse.size} bytes with {stored} stored")


def expanded(sparse: SparseMap, pieces: Callable[[int], Chunks]) -> Chunks:
    """Yield the file's whole content. `pieces(n)` gives the next n stored bytes; holes are
    zeros."""
    at = 0
    for offset, length in sparse.pieces:
        yield from _zeros(offset - at)
        yield from pieces(length)
        at = offset + length
    yield from _zeros(sparse.size - at)


def _zeros(count: int) -> Chunks:
    for _ in range(count // len(HOLE)):
        yield HOLE
    if count % len(HOLE):
        yield HOLE[: count % len(HOLE)]
