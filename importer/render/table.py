"""Tables for people: made by rich on a terminal, aligned columns elsewhere."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Protocol

from importer.render.json_text import Documented
from layers.errors import escaped
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "


@frozen
class Column:
    """A column. `style` is one of rich's, such as "bold" or "red".

    `right` aligns to the right, for numbers. `fold` breaks a cell into several lines on a narrow
    terminal. `below` moves the cell to a line of its own below the row there, for text that has
    to stay in one piece. `optional` leaves the column out if all its cells are empty.
    """

    title: str
    right: bool = False
    fold: bool = False
    below: bool = False
    optional: bool = False
    style: str = ""


@frozen
class Table:
    """Rows of text below the columns' titles."""

    columns: Sequence[Column]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    title: str = ""


@frozen
class Text:
    """A line, or with `verbatim` a document of ours with any number of lines.

    `style` is one of rich's, such as "bold" or "red".
    """

    text: str
    style: str = ""
    verbatim: bool = False


type Block = Table | Text


class Shown(Documented, Protocol):
    """A command's result, for people and for programs."""

    @property
    def status(self) -> int:
        """Return the exit status of the command, 0 unless a subclass tells otherwise."""
        return 0

    def blocks(self) -> list[Block]:
        """Return tables and lines for people."""


def rendered(blocks: Sequence[Block], *, terminal: bool) -> str:
    """Return the blocks as text; for a terminal, in its width and with colours.

    rich leaves the colours out if NO_COLOR is set (no-color.org). Control characters, which an
    image or a commit may contain, are escaped.
    """
    shown = [_visible(block) for block in blocks]
    if terminal:
        # rich takes long to load, and only a terminal needs it.
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
    """Return the table with these of its columns alone."""
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
    """Return the length of the column's longest cell or title, in characters."""
    return max(len(row[number]) for row in _lines(block))


def _lines(block: Table) -> list[tuple[str, ...]]:
    return [tuple(column.title for column in block.columns), *block.rows]
