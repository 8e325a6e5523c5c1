"""Tables for people: rich's on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table as RichTable

_GAP = "  "
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
    """A line; `style` is one of rich's, such as "bold" or "red"."""

    text: str
    style: str = ""


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

    Without colours if NO_COLOR is set (no-color.org); rich looks at it itself.
    """
    return _rich(blocks) if terminal else "\n".join(line for b in blocks for line in _plain(b))


def _plain(block: Block) -> list[str]:
    if isinstance(block, Text):
        return [block.text]
    rows = [tuple(column.title for column in block.columns), *block.rows]
    widths = [max(len(row[n]) for row in rows) for n in range(len(block.columns))]
    title = [block.title] if block.title else []
    return title + [_line(row, widths, block.columns) for row in rows]


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
            console.print(_rich_table(block))
    return output.getvalue().rstrip("\n")


def _rich_table(block: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="bold")
    if block.title:
        made.title, made.title_justify, made.title_style = RichText(block.title), "left", "bold"
    for number, column in enumerate(block.columns):
        widest = max(len(text) for text in (column.title, *(row[number] for row in block.rows)))
        made.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
            min_width=min(widest, 16) if column.fold else widest,
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
    units = (
        ("year", 31_556_952),
        ("month", 2_629_746),
        ("day", 86400),
        ("hour", 3600),
        ("minute", 60),
    )
    for unit, length in units:
        count = seconds // length
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"
