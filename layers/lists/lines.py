"""A plain list: one image a line.

A line is a reference, `NAME REFERENCE`, or `REFERENCE,SUM` as MicroShift's image-list.txt has it,
where SUM is the SHA-256 of the reference and a newline (Containerfile-embedded: the directory that
`skopeo copy` wrote the image to). `#` begins a comment.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from layers.edit import Edit
from layers.errors import LayerError
from layers.frozen import frozen
from layers.lists.listed import Listed, Span, SpanList

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMENT = re.compile(r"(^|\s)#.*")
_MOST = 10_000
_WITH_SUM = re.compile(r"(.+),([0-9a-f]{64})")


@frozen
class _SumSpan(Span):
    """A line of image-list.txt, whose sum follows its reference."""

    def edit(self, references: Mapping[str, str]) -> Edit:
        """Return the edit that puts another reference and its sum here."""
        text = references[self.image.source]
        total = sha256(f"{text}\n".encode()).hexdigest()
        return Edit(self.start, self.end, f"{text},{total}")


def read_lines(text: str, origin: str) -> SpanList:
    """Return the images of a plain list. Raise LayerError if a line is none."""
    spans: list[Span] = []
    start = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if len(spans) > _MOST:
            raise LayerError(f"{origin} lists more than {_MOST} images")
        if line.lstrip()[:1] in ("", "#"):
            start += len(line)
            continue
        content = _COMMENT.sub("", line)
        words = list(re.finditer(r"\S+", content))
        if len(words) > 2:
            raise LayerError(
                f"{origin}:{number}: not an image reference, nor a name and one:"
                f" {words[0][0][:100]!r}"
            )
        if words:
            spans.append(_span(words, start, f"{origin}:{number}"))
        start += len(line)
    return SpanList(text, tuple(spans))


def _span(words: list[re.Match[str]], start: int, where: str) -> Span:
    last = words[-1]
    begin, end = start + last.start(), start + last.end()
    if match := _WITH_SUM.fullmatch(last[0]):
        return _SumSpan(Listed(match[1], where), begin, end)
    name = words[0][0] if len(words) == 2 else ""
    return Span(Listed(last[0], where, name), begin, end)
