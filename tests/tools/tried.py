"""How many faults each command got, and survived: a table of what the tests of a run have tried.

A test notes its numbers as pytest's properties, which reach the process that prints the summary.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

_KEY = "tried"


class Report(Protocol):
    """A test's outcome, as pytest reports it."""

    user_properties: list[tuple[str, object]]


def note(record: Callable[[str, object], None], command: str, fault: str, count: int) -> None:
    """Note that a command got so many faults of a kind; `record` is pytest's `record_property`."""
    record(_KEY, (command, fault, count))


def table(passed: Iterable[Report]) -> list[str]:
    """Return the lines of a Markdown table: a row for each command, a column for each fault.

    A test passes only if nothing was lost, so the numbers are of faults without a loss.
    """
    tried: Counter[tuple[str, str]] = Counter()
    for report in passed:
        for key, value in report.user_properties:
            if key == _KEY and isinstance(value, (list, tuple)):
                command, fault, count = value
                tried[str(command), str(fault)] += int(count)
    commands, faults = (sorted({key[place] for key in tried}) for place in (0, 1))
    if not tried:
        return []
    rows = [[command, *(f"{tried[command, one] or ''}" for one in faults)] for command in commands]
    sums = [str(sum(tried[command, one] for command in commands)) for one in faults]
    lines = [["command", *faults], ["---"] * (1 + len(faults)), *rows, ["all", *sums]]
    return [f"| {' | '.join(line)} |" for line in [*lines, ["lost", *["0"] * len(faults)]]]
