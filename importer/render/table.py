"""Tables for people: rich's on a terminal, aligned columns elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from layers.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "
_MOST_NAMES = 3
_UNITS = (
    ("year", 31_556_952),
    ("month", 2_629_746),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
)


@dataclass(frozen=True, slots=True)
class Column:
    """`right` for numbers; `fold` for text that may take several lines of a terminal, `below`
    for what is to stay in one piece: where the terminal is too narrow, it goes to a line of
    its own below the row. `optional` ones are left out where no row has anything in them.
    """

    title: str
    right: bool = False
    fold: bool = False
    below: bool = False
    optional: bool = False
    style: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text below their titles."""

    columns: Sequence[Column]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    title: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A line; `style` is one of rich's, such as "bold" or "red". `verbatim` is a document of
    our own, of whatever lines it has."""

    text: str
    style: str = ""
    verbatim: bool = False


type Block = Table | Text


class Shown(Protocol):
    """What a command found out, for people and for programs, and its exit status."""

    @property
    def status(self) -> int: ...

    def blocks(self) -> list[Block]:
        """For people."""

    def document(self) -> dict[str, Any]:
        """The JSON document."""


def rendered(blocks: Sequence[Block], *, terminal: bool) -> str:
    """The blocks as text, with the terminal's colours and width if it goes to one.

    Without colours if NO_COLOR is set (no-color.org); rich looks at it itself. Control
    characters that an image or a commit brings are escaped.
    """
    shown = [_visible(block) for block in blocks]
    if terminal:
        # Only it needs rich, whose import takes a good part of a short run's time.
        from importer.render.rich_table import on_terminal

        return on_terminal(shown)
    return "\n".join(line for b in shown for line in _plain(b))


def _visible(block: Block) -> Block:
    if isinstance(block, Text):
        return block if block.verbatim else replace(block, text=escaped(block.text))
    rows = [tuple(map(escaped, row)) for row in block.rows]
    kept = [
        number
        for number, column in enumerate(block.columns)
        if not column.optional or any(row[number] for row in rows)
    ]
    return of_columns(replace(block, rows=rows), kept)


def of_columns(block: Table, numbers: Sequence[int]) -> Table:
    """With these of its columns alone."""
    rows = [tuple(row[number] for number in numbers) for row in block.rows]
    return replace(block, columns=[block.columns[number] for number in numbers], rows=rows)


def _plain(block: Block) -> list[str]:
    if isinstance(block, Text):
        return [block.text]
    widths = [widest(block, n) for n in range(len(block.columns))]
    title = [block.title] if block.title else []
    return title + [_line(row, widths, block.columns) for row in _lines(block)]


def _line(row: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    cells = [
        cell.rjust(width) if column.right else cell.ljust(width)
        for cell, width, column in zip(row, widths, columns, strict=True)
    ]
    return GAP.join(cells).rstrip()


def widest(block: Table, number: int) -> int:
    """The characters of a column's longest cell or title."""
    return max(len(row[number]) for row in _lines(block))


def _lines(block: Table) -> list[tuple[str, ...]]:
    return [tuple(column.title for column in block.columns), *block.rows]


def size(count: int) -> str:
    """Bytes for people, in powers of 1000 as podman writes them: `12.3 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def age(created: int, now: int) -> str:
    """How long ago, in the largest unit that fits; "" where it is not known."""
    if not created:
        return ""
    seconds = max(0, now - created)
    for unit, length in _UNITS:
        if seconds >= length:
            return several(seconds // length, unit)
    return several(seconds, "second")


def several(count: int, noun: str) -> str:
    """`1 layer`, `1,234 layers`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shortened(text: str, most: int) -> str:
    """At most so many characters of it, and a mark where it was longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def first_of(names: Sequence[str]) -> str:
    """Three of them, and how many more there are: all images can have the same base layer."""
    more = len(names) - _MOST_NAMES
    return ", ".join([*names[:_MOST_NAMES], f"{more} more"] if more > 0 else names)
