"""Replace parts of a text; all else stays byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable


@frozen
class Edit:
    """Replace the characters from `start` up to `end` by `text`."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with these replacements, which do not overlap; equal ones count once."""
    parts, done = [], 0
    for edit in sorted(set(edits), key=lambda edit: edit.start):
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*parts, text[done:]])
