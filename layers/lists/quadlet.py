"""A Quadlet unit: the image of a `.container` or an `.image` file.

Format: podman-systemd.unit(5), `Image=` in [Container] or [Image]; the last assignment counts, as
in systemd. bootc's logically bound images are such units, too. `Image=NAME.image` and
`Image=NAME.build` name other units, not images.
"""

from __future__ import annotations

import re

from layers.lists.listed import Listed, Span, SpanList

_SECTION = re.compile(r"\[([^\]]+)\]\s*$")
_IMAGE = re.compile(r"(Image\s*=\s*)(\S*)\s*$")
_SECTIONS = ("Container", "Image")
_UNITS = (".image", ".build")


def is_unit(text: str) -> bool:
    """Return whether the text has one of Quadlet's sections."""
    return re.search(r"^\[(Container|Image)\]\s*$", text, re.MULTILINE) is not None


def read_unit(text: str, origin: str) -> SpanList:
    """Return the unit's image, if it has one that is not another unit's."""
    found: dict[str, Span] = {}
    section, start = "", 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if header := _SECTION.match(line):
            section = header[1]
        elif section in _SECTIONS and (match := _IMAGE.match(line)):
            image = Listed(match[2], f"{origin}:{number}")
            found[section] = Span(image, start + match.start(2), start + match.end(2))
        start += len(line)
    spans = (span for span in found.values() if not span.image.source.endswith(_UNITS))
    return SpanList(text, tuple(span for span in spans if span.image.source))
