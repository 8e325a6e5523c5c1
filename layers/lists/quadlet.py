"""A Quadlet unit: the image of a `.container` or an `.image` file.

Format: podman-systemd.unit(5), `Image=` in [Container] or [Image]; the last assignment counts, as
in systemd. `Image=NAME.image` and `Image=NAME.build` name other units, not images. `Pull=always`
in [Container] asks the registry at each start. bootc's
logically bound images are such units, too. bootc reads `Image=` alone, and takes no systemd
specifiers but `%%` (bootc, crates/lib/src/boundimage.rs).
"""

from __future__ import annotations

import re
from hashlib import sha256

from layers.errors import LayerError
from layers.lists.listed import Listed, Span, SpanList, with_defaults

_SECTION = re.compile(r"\[([^\]]+)\][ \t\r\n]*$")
_IMAGE = re.compile(r"\s*Image\s*=\s*")
_PULL = re.compile(r"[ \t]*Pull[ \t]*=[ \t]*always\s*$", re.MULTILINE)
_SECTIONS = ("Container", "Image")
_UNITS = (".image", ".build")
_COMMENTS = ("#", ";")
# Of a unit's file name.
_OTHER = re.compile(r"[^A-Za-z0-9.]+")
_MOST = 100


def is_unit(text: str) -> bool:
    """Return whether the text has one of Quadlet's sections."""
    return re.search(r"^\[(Container|Image)\][ \t\r]*$", text, re.MULTILINE) is not None


def read_unit(text: str, origin: str) -> SpanList:
    """Return the unit's image, nothing if the unit has none or names another unit."""
    images: dict[str, Span] = {}
    always = "Pull=always" if _PULL.search(text) else ""
    section, start, continued = "", 0, False
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if header := _SECTION.match(line):
            section = header[1]
        elif section in _SECTIONS and not continued and (match := _IMAGE.match(line)):
            value = line[match.end() :].rstrip()
            images[section] = _span(value, start + match.end(), f"{origin}:{number}", always)
        continued = line.rstrip("\r\n").endswith("\\") and not line.lstrip().startswith(_COMMENTS)
        start += len(line)
    spans = (span for span in images.values() if not span.image.source.endswith(_UNITS))
    return SpanList(text, tuple(span for span in spans if span.image.source))


def _span(value: str, start: int, where: str, always: str) -> Span:
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        value, start = value[1:-1], start + 1
    if re.search(r"\s|\\", value):
        raise LayerError(
            f"{where}: Image= is {value[:200]!r}, which is no image's name",
            hint="write the name alone, on the line of Image=; a comment has a line of its own",
        )
    source = with_defaults(value, where)
    return Span(Listed(source, where, always=always), start, start + len(value))


def bound_image(name: str) -> tuple[str, str]:
    """Return the file name and the text of a unit that binds an image to bootc's. Each image name
    has a file name of its own."""
    stem = _OTHER.sub("-", name.partition("@")[0]).strip("-.")[:_MOST]
    unique = sha256(name.encode()).hexdigest()[:8]
    return f"{stem}-{unique}.image", f"[Image]\nImage={name.replace('%', '%%')}\n"
