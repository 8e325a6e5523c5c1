"""Write numbers, sizes, ages and lists of names for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_NAMES = 3
_UNITS = (
    ("year", 31_556_952),
    ("month", 2_629_746),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
)


def size(count: int) -> str:
    """Return a number of bytes as podman writes it, in powers of 1000: `12.3 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def age(created: int, now: int) -> str:
    """Return how long ago a time is, in the largest unit that fits: `3 days`.

    Both times are seconds since 1970. The age of `created` 0, an unknown time, is "".
    """
    if not created:
        return ""
    seconds = max(0, now - created)
    for unit, length in _UNITS:
        if seconds >= length:
            return several(seconds // length, unit)
    return several(seconds, "second")


def several(count: int, noun: str) -> str:
    """Return a number with its noun: `1 layer`, `1,234 layers`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shortened(text: str, most: int) -> str:
    """Return the text cut to `most` characters, the last one `…` if the text was longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def first_of(names: Sequence[str]) -> str:
    """Return the first three names, and the number of the others: `a, b, c, 7 more`."""
    more = len(names) - _MOST_NAMES
    return ", ".join([*names[:_MOST_NAMES], f"{more} more"] if more > 0 else names)
