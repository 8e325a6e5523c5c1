"""Tables on a terminal, made by rich, and the changes of a release."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from importer.render.table import GAP, Block, Table, Text, of_columns, widest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from layers.release.report import Report, Row

# Characters; a column that is folded to fewer cannot be read.
_NARROWEST = 12
_STYLES = {"failed": "bold red", "changed": "yellow", "added": "green", "removed": "red"}
_DIGEST = re.compile(r"@(\w+):([0-9a-f]{12})[0-9a-f]+")


def on_terminal(blocks: Sequence[Block]) -> str:
    """Return the blocks as text with colours, in the width of standard output's terminal."""
    output = io.StringIO()
    width = shutil.get_terminal_size().columns
    console = Console(file=output, force_terminal=True, width=width, highlight=False)
    for block in blocks:
        if isinstance(block, Text):
            console.print(RichText(block.text, block.style), soft_wrap=True)
        else:
            _print_table(console, block, width)
    return output.getvalue().rstrip("\n")


def _print_table(console: Console, block: Table, terminal: int) -> None:
    """Print in the terminal's width. If the columns need more, the `below` ones move below."""
    below = [number for number, column in enumerate(block.columns) if column.below]
    if below and _natural(block) > terminal:
        _print_in_two(console, block, below, terminal)
        return
    console.width = _width(block, terminal)
    console.print(_rich_table(block))


def _print_in_two(console: Console, block: Table, below: Sequence[int], terminal: int) -> None:
    """Print each row with its `below` cells in lines below, unbroken so that one can copy them."""
    above = [number for number in range(len(block.columns)) if number not in below]
    upper, lower = of_columns(block, above), of_columns(block, below)
    console.width = _width(upper, terminal)
    widths = _fitting(upper, console.width)
    console.print(_rich_table(replace(upper, rows=[]), widths))
    for row, more in zip(upper.rows, lower.rows, strict=True):
        if any(row):
            console.print(_rich_table(replace(upper, rows=[row], title=""), widths, header=False))
        cells = [
            (f"{GAP}{cell}", column.style)
            for cell, column in zip(more, lower.columns, strict=True)
            if cell
        ]
        console.print(RichText.assemble(*cells), soft_wrap=True)


def _fitting(block: Table, width: int) -> list[int]:
    """Return the columns' widths. At most one column is narrower than its cells: it folds."""
    widths = [widest(block, number) for number in range(len(block.columns))]
    for number, column in enumerate(block.columns):
        if column.fold:
            others = _natural(block) - widths[number]
            widths[number] = max(_least(block, number), min(widths[number], width - others))
    return widths


def _natural(block: Table) -> int:
    """Return the width of the table without folding, in characters."""
    gaps = len(GAP) * (len(block.columns) - 1)
    return sum(widest(block, number) for number in range(len(block.columns))) + gaps


def _width(block: Table, terminal: int) -> int:
    """Return the width to print the table in.

    That is the terminal's, in which columns fold. If even folded columns need more, it is the
    width without folding: the terminal then breaks the lines, where rich would omit columns.
    """
    folded = sum(
        widest(block, number) - _least(block, number) for number in range(len(block.columns))
    )
    natural = _natural(block)
    return terminal if natural - folded <= terminal else natural


def _least(block: Table, number: int) -> int:
    whole = widest(block, number)
    return min(whole, _NARROWEST) if block.columns[number].fold else whole


def _rich_table(block: Table, widths: Sequence[int] = (), *, header: bool = True) -> RichTable:
    made = RichTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        show_header=header,
        pad_edge=False,
        padding=(0, 1, 0, 0),  # the box puts one more space between columns: GAP
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
            width=widths[number] if widths else None,
            style=column.style,
        )
    for row in block.rows:
        made.add_row(*map(RichText, row))
    return made


def release_tables(reports: Sequence[Report]) -> list[str]:
    """Return lines with colours, as wide as the terminal.

    Of a repository only the last part is shown, and not even that if the component is called so,
    unless old and new differ in the other parts alone; of a digest, 12 digits.
    """
    console = Console(file=io.StringIO(), force_terminal=True)
    with console.capture() as capture:
        for report in reports:
            console.print(_title(report))
            for table in _tables(report):
                console.print(table)
    return capture.get().splitlines()


def _title(report: Report) -> RenderableType:
    return RichText.assemble((report.title, "bold"), f": {report.counts}")


def _tables(report: Report) -> list[RenderableType]:
    cells = [_cells(row) for row in report.rows()]
    kept = [number for number in range(5) if any(row[number] for row in cells)]
    rows = RichTable(box=box.SIMPLE, pad_edge=False)
    for number in kept:
        rows.add_column(("component", "", "from", "to", "commits")[number], overflow="fold")
    for row in cells:
        rows.add_row(*(row[number] for number in kept))
    amounts = RichTable("layers", box=box.SIMPLE)
    amounts.add_column("count", justify="right")
    amounts.add_column("bytes", justify="right")
    for name, found in report.amounts.items():
        amounts.add_row(name, f"{found.layers:,}", f"{found.bytes:,}")
    return [table for table in (rows, amounts) if table.row_count]


def _cells(row: Row) -> list[RichText]:
    old, new = (_short(text).removeprefix(f"{row.name}@") for text in (row.old, row.new))
    if old == new:
        old, new = row.old, row.new
    return [
        RichText(row.name),
        RichText(row.state, style=_STYLES[row.state]),
        RichText(old),
        RichText(new),
        RichText(row.commits),
    ]


def _short(pullspec: str) -> str:
    """Return the repository's last component with 12 digits of the digest."""
    return _DIGEST.sub(r"@\1:\2", pullspec.rpartition("/")[2])
