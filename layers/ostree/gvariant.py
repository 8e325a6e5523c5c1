"""Write and read GVariant's serialisation, as far as ostree's objects need it.

Source: GLib's manual, "GVariant Specification". Only types of variable parts: strings, byte arrays,
arrays and tuples of these, and variants that hold a string.
"""

from __future__ import annotations

from itertools import accumulate
from operator import gt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Ends a variant that holds a string.
_IS_STRING = b"\0s"


def string(text: bytes) -> bytes:
    """Encode a string, `s`, given in UTF-8. A byte array, `ay`, is its bytes unchanged."""
    return text + b"\0"


def array(elements: Iterable[bytes]) -> bytes:
    """Encode an array of elements of variable size. The elements' ends follow them, as offsets."""
    parts = list(elements)
    body = b"".join(parts)
    return body + _offsets(len(body), list(accumulate(map(len, parts))))


def text_entries(entries: Iterable[tuple[str, str]]) -> bytes:
    """Encode a dictionary of texts, `a{sv}`: entries and variants begin at multiples of 8 bytes."""
    body, ends = b"", []
    for key, value in entries:
        name = string(key.encode())
        variant = padding(len(name)) + string(value.encode()) + _IS_STRING
        body += padding(len(body)) + members(name, variant)
        ends.append(len(body))
    return body + _offsets(len(body), ends)


def padding(size: int) -> bytes:
    """Return the zeros up to the next multiple of 8 bytes."""
    return bytes(-size % 8)


def members(*parts: bytes, fixed: bytes = b"") -> bytes:
    """Encode a tuple. `fixed` are its members of fixed size, padding included; `parts` are the
    members of variable size after them.

    The ends of all parts but the last follow them as offsets, the first part's end last.
    """
    body = fixed + b"".join(parts)
    if len(parts) == 2 and len(body) < 0xFF:
        return body + bytes((len(fixed) + len(parts[0]),))
    ends = list(accumulate(map(len, parts[:-1]), initial=len(fixed)))[1:]
    return body + _offsets(len(body), ends[::-1])


def read_text_entries(data: bytes) -> list[tuple[str, str]]:
    """Parse a dictionary: the inverse of `text_entries`. Raise ValueError if the data is malformed,
    or a value is not a text."""
    entries, end = [], 0
    for element in elements(data):
        name, variant = parts(element[-end % 8 :], 2)
        value = variant[-len(name) % 8 :]
        if not value.endswith(_IS_STRING):
            raise ValueError("a value is not a text")
        entries.append((text(name).decode(), text(value[: -len(_IS_STRING)]).decode()))
        end += len(element)
    return entries


def elements(data: bytes) -> list[bytes]:
    """Split an encoded array: the inverse of `array`. Raise ValueError if the data is malformed."""
    if not data:
        return []
    width = _width(len(data), 0)
    end = int.from_bytes(data[-width:], "little")
    count, rest = divmod(len(data) - end, width)
    if rest or count < 1:
        raise ValueError("an array's offsets do not fit it")
    return _cut(data[:end], _numbers(data[end:], width))


def parts(data: bytes, count: int) -> list[bytes]:
    """Split an encoded tuple of `count` members of variable size: the inverse of `members` without
    `fixed`. Raise ValueError if the data is malformed."""
    width = _width(len(data), 0)
    at = len(data) - width * (count - 1)
    if at < 0:
        raise ValueError("a tuple is shorter than its offsets")
    return _cut(data[:at], [*_numbers(data[at:], width)[::-1], at])


def text(data: bytes) -> bytes:
    """Return a string without its NUL: the inverse of `string`. Raise ValueError if it has none."""
    if data[-1:] != b"\0":
        raise ValueError("a string does not end")
    return data[:-1]


def _cut(data: bytes, ends: Sequence[int]) -> list[bytes]:
    begins = [0, *ends[:-1]]
    if any(map(gt, begins, ends)) or ends[-1] != len(data):
        raise ValueError("offsets are not in order")
    return [data[begin:end] for begin, end in zip(begins, ends, strict=True)]


def _numbers(data: bytes, width: int) -> Sequence[int]:
    if width == 1:
        return data
    return [int.from_bytes(data[n : n + width], "little") for n in range(0, len(data), width)]


def _offsets(size: int, ends: list[int]) -> bytes:
    """Return the offsets, little-endian, just wide enough for the size of the whole container."""
    width = _width(size, len(ends))
    if width == 1:
        return bytes(ends)
    return b"".join(end.to_bytes(width, "little") for end in ends)


def _width(size: int, count: int) -> int:
    return next(n for n in (1, 2, 4, 8) if size + n * count < 1 << (8 * n))
