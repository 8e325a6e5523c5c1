"""`image-store report`: one page to look at, which needs nothing else and no network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from importer.errors import ImporterError
from importer.files.replacement import Replacement
from importer.render.table import Block, Text, several, shortened, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.imagestore.diff import StoreDiff
    from importer.imagestore.report_data import ReportData


STDOUT = Path("-")
_MOST_COMMAND = 80


@dataclass(frozen=True, slots=True)
class Written:
    """The report's file, or STDOUT, for the command's answer."""

    path: Path
    data: ReportData

    @property
    def status(self) -> int:
        """Always done."""
        return 0

    def blocks(self) -> list[Block]:
        """Where it is, or the page itself."""
        if self.path == STDOUT:
            return [Text(page(self.data).rstrip("\n"), verbatim=True)]
        return [Text(str(self.path))]

    def document(self) -> dict[str, Any]:
        """The report's numbers, without the directories."""
        data = self.data
        return {
            "report": str(self.path),
            "branch": data.store.branch,
            "commit": data.store.commit.checksum,
            "size": data.size,
            "unshared_size": data.unshared_size,
            "images": [
                {
                    "image_id": one.image.id,
                    "names": list(one.image.names),
                    "size": one.size,
                    "shared_size": one.shared,
                    "hidden_size": one.hidden,
                    "flattening_saves": one.saved,
                }
                for one in data.images
            ],
        }


def write_report(data: ReportData, path: Path) -> Written:
    """Write the page; a file appears under its name when it is complete. What is not a file,
    such as /dev/stdout, is written to, and not replaced."""
    if path == STDOUT:
        return Written(path, data)
    content = page(data).encode()
    if path.exists() and not path.is_file():
        _write_to(path, content)
    else:
        with Replacement(path, content) as new:
            new.publish()
    return Written(path, data)


def _write_to(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ImporterError(f"{path} cannot be written: {error.strerror}") from error


def page(data: ReportData) -> str:
    """The HTML document. Whatever comes out of an image is escaped."""
    when = datetime.fromtimestamp(data.store.commit.message.timestamp, UTC)
    parts = {
        "branch": escape(data.store.branch),
        "commit": escape(data.store.commit.checksum),
        "prefix": escape(data.store.prefix),
        "datetime": when.isoformat(),
        "date": f"{when:%-d %B %Y, %H:%M} UTC",
        "figures": _figures(data),
        "images": _images(data),
        "layers": _layers(data),
        "directories": _directories(data),
        "changes": _changes(data.diff),
        "style": _file("report.css"),
        "script": _file("report.js"),
        # No "</script>" can be in it, nor the beginning of a comment.
        "data": json.dumps(data.tree(), separators=(",", ":")).replace("<", "\\u003c"),
    }
    pieces = _file("report.html").split("{{")
    filled = (f"{parts[name]}{rest}" for name, _, rest in (p.partition("}}") for p in pieces[1:]))
    return pieces[0] + "".join(filled)


def _file(name: str) -> str:
    return (files("importer.imagestore") / "page" / name).read_text(encoding="utf-8")


def _figures(data: ReportData) -> str:
    shared = data.unshared_size - data.size
    figures = [
        (f"{len(data.images):,}", "images" if len(data.images) != 1 else "image"),
        (f"{len(data.layers):,}", "layers" if len(data.layers) != 1 else "layer"),
        (size(data.size), "in files, each layer once"),
        (size(shared), "saved by sharing layers"),
        (size(sum(one.saved for one in data.images)), "flattening would save"),
    ]
    return "".join(
        f"<div><dt>{escape(what)}</dt><dd>{escape(number)}</dd></div>" for number, what in figures
    )


def _images(data: ReportData) -> str:
    largest = max((one.size for one in data.images), default=1) or 1
    rows = [
        [
            _head(one.image.short_label, f"{one.image.platform}, {one.image.label}"),
            _number(f"{len(one.image.layers)}"),
            _bar(one.size, largest, one.shared),
            _number(size(one.shared)),
            _number(size(one.hidden)),
            _number(size(one.saved), strong=one.saved > 0),
        ]
        for one in data.images
    ]
    titles = ["Image", "Layers", "Size", "Shared", "Hidden", "Flattening saves"]
    return _table("The images, largest first", titles, rows)


def _layers(data: ReportData) -> str:
    shared = [layer for layer in data.layers if len(layer.users) > 1]
    if not shared:
        return "<p>No layer is in more than one image.</p>"
    largest = shared[0].space.size or 1
    rows = [
        [
            _head(shortened(layer.label, _MOST_COMMAND), layer.id[:12]),
            _bar(layer.space.size, largest, layer.space.size),
            _number(f"{layer.space.files:,}"),
            _cell(", ".join(layer.users)),
        ]
        for layer in shared
    ]
    return _table("Shared layers, largest first", ["Layer", "Size", "Files", "In"], rows)


def _directories(data: ReportData) -> str:
    found = data.directories()
    if not found:
        return "<p>There is no directory with files in it.</p>"
    largest = found[0][2].size or 1
    rows = [
        [
            _head(path, f"{shortened(layer.label, _MOST_COMMAND)}, in {_users(layer.users)}"),
            _bar(space.size, largest, space.size if len(layer.users) > 1 else 0),
            _number(f"{space.files:,}"),
        ]
        for path, layer, space in found
    ]
    return _table("The largest directories of single layers", ["Directory", "Size", "Files"], rows)


def _users(names: Sequence[str]) -> str:
    if not names:
        return "no image"
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _changes(diff: StoreDiff | None) -> str:
    if diff is None or diff.old is None:
        return (
            "<p>This commit has no parent in the repo. <code>--since COMMIT</code> compares the"
            " store with another one.</p>"
        )
    lines = [
        (
            f"<p>Since <code>{escape(diff.old.commit.checksum[:16])}</code>:"
            f" {escape(diff.summary())}. A device that has that commit fetches"
            f" {escape(str(diff.fetch))}.</p>"
        )
    ]
    rows = [
        [
            _head(one.short_label, one.label),
            _state("new"),
            _cell(several(diff.own_layers(one), "new layer")),
        ]
        for one in diff.added
    ]
    rows += [
        [
            _head(one.new.short_label, one.new.label),
            _state("changed"),
            _cell(
                f"{several(one.layers, 'new layer')}; {several(len(one.files.added), 'file')}"
                f" added, {len(one.files.changed):,} changed, {len(one.files.removed):,} removed"
            ),
        ]
        for one in diff.changed
    ]
    rows += [
        [_head(one.short_label, one.label), _state("removed"), _cell("")] for one in diff.removed
    ]
    if rows:
        lines.append(_table("The images that changed", ["Image", "State", "Difference"], rows))
    return "".join(lines)


_NUMBER = ' class="number"'
_NUMBERS = ("Layers", "Shared", "Hidden", "Flattening saves", "Files")


def _table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """On a phone a row becomes a card, for which each cell carries its column's title; the
    roles are said again, since browsers drop them with the display."""
    head = "".join(
        f'<th scope="col" role="columnheader"{_NUMBER if one in _NUMBERS else ""}>'
        f"{escape(one)}</th>"
        for one in titles
    )
    body = "".join(
        '<tr role="row">'
        + "".join(
            cell.replace("<td", f'<td role="cell" data-title="{escape(title)}"', 1).replace(
                "<th", '<th role="rowheader"', 1
            )
            for cell, title in zip(row, titles, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table role="table"><caption>{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def _head(text: str, detail: str) -> str:
    return f'<th scope="row">{escape(text)}<small>{escape(detail)}</small></th>'


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _state(text: str) -> str:
    return f'<td class="state">{escape(text)}</td>'


def _number(text: str, *, strong: bool = False) -> str:
    shown = f"<strong>{escape(text)}</strong>" if strong else escape(text)
    return f'<td class="number">{shown}</td>'


def _bar(count: int, largest: int, shared: int) -> str:
    """The number, and a picture of it, which says nothing more."""
    own = 100 * (count - shared) / largest
    both = 100 * shared / largest
    picture = (
        f'<span class="bar" aria-hidden="true"><i class="own" style="width:{own:.2f}%"></i>'
        f'<i class="shared" style="width:{both:.2f}%"></i></span>'
    )
    return f'<td class="number sized"><span>{escape(size(count))}</span>{picture}</td>'
