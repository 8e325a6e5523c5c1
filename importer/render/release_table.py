"""The changes of a release, as tables for a terminal."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.text import Text

    from layers.release.report import Report, Row

_STYLES = {"failed": "bold red", "changed": "yellow", "added": "green", "removed": "red"}
_DIGEST = re.compile(r"@(\w+):([0-9a-f]{12})[0-9a-f]+")


def rendered(reports: Sequence[Report]) -> list[str]:
    """Return lines with colours, as wide as the terminal.

    Of a repository only the last part is shown, and not even that if the component is called so,
    unless old and new differ in the other parts alone; of a digest, 12 digits.
    """
    # rich takes long to load, and only a terminal needs it.
    from rich.console import Console

    console = Console(file=StringIO(), force_terminal=True)
    with console.capture() as capture:
        for report in reports:
            console.print(_title(report))
            for table in _tables(report):
                console.print(table)
    return capture.get().splitlines()


def _title(report: Report) -> RenderableType:
    from rich.text import Text

    return Text.assemble((report.title, "bold"), f": {report.counts}")


def _tables(report: Report) -> list[RenderableType]:
    from rich.box import SIMPLE
    from rich.table import Table

    cells = [_cells(row) for row in report.rows()]
    kept = [number for number in range(5) if any(row[number] for row in cells)]
    rows = Table(box=SIMPLE, pad_edge=False)
    for number in kept:
        rows.add_column(("component", "", "from", "to", "commits")[number], overflow="fold")
    for row in cells:
        rows.add_row(*(row[number] for number in kept))
    amounts = Table("layers", box=SIMPLE)
    amounts.add_column("count", justify="right")
    amounts.add_column("bytes", justify="right")
    for name, found in report.amounts.items():
        amounts.add_row(name, f"{found.layers:,}", f"{found.bytes:,}")
    return [table for table in (rows, amounts) if table.row_count]


def _cells(row: Row) -> list[Text]:
    from rich.text import Text

    old, new = (_short(text).removeprefix(f"{row.name}@") for text in (row.old, row.new))
    if old == new:
        old, new = row.old, row.new
    return [
        Text(row.name),
        Text(row.state, style=_STYLES[row.state]),
        Text(old),
        Text(new),
        Text(row.commits),
    ]


def _short(pullspec: str) -> str:
    """Return the repository's last component with 12 digits of the digest."""
    return _DIGEST.sub(r"@\1:\2", pullspec.rpartition("/")[2])
