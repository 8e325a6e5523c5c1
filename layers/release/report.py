"""Report the changes from one release to the next, as Markdown and as plain text."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING

from layers.frozen import frozen
from layers.release.source_link import commit_url, compare_url, is_forge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from layers.release.diff import Amount, ReleaseDiff
    from layers.release.release import Component


@frozen
class Report:
    """The report of a release for one architecture, "" if it is unknown.

    `amounts` are the layers by what became of them. `failed` are errors by component. `besides` are
    changes other than images. `device` is what a device with the old release has to fetch.
    """

    diff: ReleaseDiff
    arch: str = ""
    amounts: Mapping[str, Amount] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    besides: tuple[str, ...] = ()
    device: str = ""

    @property
    def title(self) -> str:
        """Return the title: from which release to which."""
        diff = self.diff
        old, new = (name or "a release without a name" for name in (diff.old, diff.new))
        between = new if old == new else f"{old} → {new}"
        if not (diff.old or diff.changed or diff.removed or diff.unchanged):
            between = f"{new}, first import"
        return f"{between} ({self.arch})" if self.arch else between

    @property
    def counts(self) -> str:
        """Return the number of components of each kind."""
        diff = self.diff
        counts = f"{len(diff.changed)} changed, {len(diff.added)} added, "
        counts += f"{len(diff.removed)} removed, {len(diff.unchanged)} unchanged"
        counts += f", {len(self.failed)} failed" if self.failed else ""
        return ", ".join([counts, *self.besides])

    def rows(self) -> Iterator[Row]:
        """Return a row for each component that is not unchanged."""
        for name, why in self.failed.items():
            yield Row("failed", name, "", "", "", why)
        for change in self.diff.changed:
            old, new = change.old, change.new
            yield Row(
                "changed", new.name, old.pullspec, new.pullspec, old.commit, new.commit, new.source
            )
        for component in self.diff.added:
            yield _row("added", component, "", component.pullspec)
        for component in self.diff.removed:
            yield _row("removed", component, component.pullspec, "")


@frozen
class Row:
    """A component, its old and new image, and their commits of the source. `to_commit` of a failed
    component is the error."""

    state: str
    name: str
    old: str
    new: str
    from_commit: str
    to_commit: str
    source: str = ""

    @property
    def commits(self) -> str:
        """Return the source's commits, abbreviated, or the error."""
        if self.state == "failed":
            return self.to_commit
        commits = [commit[:10] for commit in (self.from_commit, self.to_commit) if commit]
        return " → ".join(dict.fromkeys(commits))


def _row(state: str, component: Component, old: str, new: str) -> Row:
    return Row(state, component.name, old, new, "", component.commit, component.source)


def plain(reports: Sequence[Report]) -> list[str]:
    """Return the report as lines for a log."""
    lines: list[str] = []
    for report in reports:
        lines.append(f"{report.title}: {report.counts}")
        for row in report.rows():
            between = " → ".join(text for text in (row.old, row.new) if text)
            lines.append(f"  {row.state:<8} {row.name}  {between}  {row.commits}".rstrip())
        lines += [
            f"  {name}: {amount.layers:,} layers, {amount.bytes:,} bytes"
            for name, amount in report.amounts.items()
        ]
        lines += [f"  a device fetches: {report.device}"] if report.device else []
    return lines


def markdown(reports: Sequence[Report], max_chars: int | None = None) -> str:
    """Return the reports for a pull request's body, in GitHub's dialect. Text of more than
    `max_chars` ends after a whole row, and a last line says how many rows are missing."""
    lines = [line for report in reports for line in _section(report)]
    whole = "\n".join(text for text, _ in lines).rstrip("\n")
    return whole if max_chars is None or len(whole) <= max_chars else _cut(lines, max_chars)


type _Line = tuple[str, bool]  # the text, and whether it is a component's row


def _cut(lines: Sequence[_Line], max_chars: int) -> str:
    room = max_chars - len(_left_out(len(lines))) - 1
    kept: list[str] = []
    for text, _ in lines:
        room -= len(text) + 1
        if room < 0:
            break
        kept.append(text)
    missing = sum(is_row for _, is_row in lines[len(kept) :])
    whole = "\n".join([*kept, _left_out(missing)])
    return whole if len(whole) <= max_chars else ""


def _left_out(count: int) -> str:
    return f"\n{count:,} more rows were left out."


def _section(report: Report) -> Iterator[_Line]:
    yield f"### {_escaped(report.title)}", False
    yield "", False
    yield f"{report.counts}.", False
    if report.device:
        yield "", False
        yield f"A device with the last release fetches {report.device}.", False
    if report.amounts:
        yield from _amounts(report.amounts)
    rows = list(report.rows())
    if rows:
        yield "", False
        yield "| component | | from | to | source |", False
        yield "| --- | --- | --- | --- | --- |", False
    for row in rows:
        cells = [_code(row.name), row.state, _code(row.old), _code(row.new), _commits(row)]
        yield f"| {' | '.join(cells)} |", True
    yield "", False


def _amounts(amounts: Mapping[str, Amount]) -> Iterator[_Line]:
    yield "", False
    yield "| layers | count | bytes |", False
    yield "| --- | ---: | ---: |", False
    for name, amount in amounts.items():
        yield f"| {name} | {amount.layers:,} | {amount.bytes:,} |", False


def _commits(row: Row) -> str:
    if row.state == "failed" or not is_forge(row.source):
        return _code(row.commits)
    if not commit_url(row.source, row.to_commit):
        return ""
    if row.state == "changed" and (url := compare_url(row.source, row.from_commit, row.to_commit)):
        return f"[{row.commits}]({url})"
    return f"[{row.to_commit[:10]}]({commit_url(row.source, row.to_commit)})"


def _code(text: str) -> str:
    """Return a code span, in which no character but a table's bar has a meaning."""
    if not text:
        return ""
    line = " ".join(text.split()).replace("|", "\\|")
    ticks = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if "`" in line else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _escaped(text: str) -> str:
    line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>#|@~!&])", r"\\\1", line)
