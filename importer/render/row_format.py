"""Write rows by a template, as podman's --format: Go's `{{.Field}}`, or Jinja's expressions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.render.table import Block, Column, Table, Text
from layers.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Template

    type Row = Mapping[str, object]

_TABLE = "table "
# `{{.Field}}`, `{{json .Field}}` and `{{json .}}`, with anything of Jinja's behind it.
_FIELD = re.compile(r"\{\{\s*(json\s+)?\.(\w*)")
_TITLE = re.compile(r"\.(\w+)")


def formatted(template: str, rows: Sequence[Row]) -> list[Block]:
    """Return each row by the template. `table ` before it makes columns, separated by `\\t`, with
    titles. Raise ImporterError for a wrong template."""
    template = template.replace("\\t", "\t").replace("\\n", "\n")
    if not template.startswith(_TABLE):
        made = _template(template, rows)
        return [Text(_filled(made, row), verbatim=True) for row in rows]
    cells = template.removeprefix(_TABLE).split("\t")
    columns = [Column(" ".join(_TITLE.findall(cell)).upper()) for cell in cells]
    templates = [_template(cell, rows) for cell in cells]
    return [Table(columns, [tuple(_filled(made, row) for made in templates) for row in rows])]


def _template(text: str, rows: Sequence[Row]) -> Template:
    from jinja2 import Environment, StrictUndefined, TemplateError  # slow to load, rarely needed

    environment = Environment(  # noqa: S701 - text, not HTML
        undefined=StrictUndefined, finalize=_plain, keep_trailing_newline=True
    )
    environment.filters["json"] = lambda value: json.dumps(value, default=str)
    try:
        made = environment.from_string(_FIELD.sub(_expression, text))
        for row in rows[:1]:
            made.render(row, row=row)
    except TemplateError as error:
        fields = ", ".join(f".{name}" for name in rows[0]) if rows else ""
        hint = f"the fields are {fields}" if fields else ""
        raise ImporterError(f"--format: {error.message}", hint=hint) from None
    return made


def _expression(match: re.Match[str]) -> str:
    """Return Go's field as an expression of Jinja: `{{.ID` as `{{ID`."""
    return "{{ " + (match[2] or "row") + (" | json" if match[1] else "")


def _plain(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _filled(template: Template, row: Row) -> str:
    text = template.render(row, row=row)
    return "".join(c if c in "\t\n" else escaped(c) for c in text)
