"""Tables for people: rich's on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from layers.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table as RichTable

_GAP = "  "
# A name that is folded any further cannot be read.
_NARROWEST = 12
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
    """`right` for numbers; `fold` for text that may take several lines of a terminal."""

    title: str
    right: bool = False
    fold: bool = False
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
    return _rich(shown) if terminal else "\n".join(line for b in shown for line in _plain(b))


def _visible(block: Block) -> Block:
    if isinstance(block, Text):
        return block if block.verbatim else replace(block, text=escaped(block.text))
    return replace(block, rows=[tuple(map(escaped, row)) for row in block.rows])


def _plain(block: Block) -> list[str]:
    if isinstance(block, Text):
        return [block.text]
    widths = [_widest(block, n) for n in range(len(block.columns))]
    title = [block.title] if block.title else []
    return title + [_line(row, widths, block.columns) for row in _lines(block)]


def _line(row: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    cells = [
        cell.rjust(width) if column.right else cell.ljust(width)
        for cell, width, column in zip(row, widths, columns, strict=True)
    ]
    return _GAP.join(cells).rstrip()


def _rich(blocks: Sequence[Block]) -> str:
    # Only a terminal needs rich, whose import takes a good part of a short run's time.
    from rich.console import Console
    from rich.text import Text as RichText

    output = io.StringIO()
    width = shutil.get_terminal_size().columns
    console = Console(file=output, force_terminal=True, width=width, highlight=False)
    for block in blocks:
        if isinstance(block, Text):
            console.print(RichText(block.text, block.style), soft_wrap=True)
        else:
            console.width = _width(block, width)
            console.print(_rich_table(block))
    return output.getvalue().rstrip("\n")


def _width(block: Table, terminal: int) -> int:
    """The terminal's, in which columns fold; if that is too narrow for the table, what the
    table takes without folding. Then the terminal breaks the lines; rich would leave columns
    out."""
    gaps = len(_GAP) * (len(block.columns) - 1)
    columns = range(len(block.columns))
    if sum(_least(block, n) for n in columns) + gaps <= terminal:
        return terminal
    return sum(_widest(block, n) for n in columns) + gaps


def _least(block: Table, number: int) -> int:
    widest = _widest(block, number)
    return min(widest, _NARROWEST) if block.columns[number].fold else widest


def _widest(block: Table, number: int) -> int:
    return max(len(row[number]) for row in _lines(block))


def _lines(block: Table) -> list[tuple[str, ...]]:
    return [tuple(column.title for column in block.columns), *block.rows]


def _rich_table(block: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    made = RichTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),  # the box puts one more space between columns: _GAP
        header_style="bold",
    )
    if block.title:
        made.title, made.title_justify, made.title_style = RichText(block.title), "left", "bold"
    for number, column in enumerate(block.columns):
        made.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
            min_width=_least(block, number),
            style=column.style,
        )
    for row in block.rows:
        made.add_row(*map(RichText, row))
    return made


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
