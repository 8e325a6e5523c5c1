"""Detect the format of a list of images by its content, not its name."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from layers.document import MAX_TEXT_SIZE
from layers.errors import LayerError
from layers.lists.blueprint import read_blueprint
from layers.lists.kinds import KINDS
from layers.lists.lines import read_lines
from layers.lists.manifests import read_manifests
from layers.lists.quadlet import is_unit, read_unit
from layers.yaml_text import decoded

if TYPE_CHECKING:
    from layers.lists.listed import ListFile

_BLUEPRINT = re.compile(r"^[ \t]*(\[\[[ \t]*containers\b|containers[ \t]*=)", re.MULTILINE)
# `key: value` or `key:` at the margin, `---`, or JSON: no line of a plain list looks so.
_YAML = re.compile(r"^(---|%YAML|[A-Za-z][\w.-]*:(\s|$)|\{)", re.MULTILINE)


def read_list(raw: bytes, origin: str, limit: int = MAX_TEXT_SIZE) -> ListFile:
    """Return the images of a file of at most `limit` bytes. `origin` names the file in errors.

    Raise LayerError if the file has none of the formats, or lists no image.
    """
    try:
        found = parse_list(raw, origin, limit)
        if not found.images:
            raise LayerError(f"{origin} lists no image")
    except LayerError as error:
        raise error.within(hint=f"it can be {KINDS}") from None
    return found


def parse_list(
    raw: bytes, origin: str, limit: int = MAX_TEXT_SIZE, *, lines: bool = True
) -> ListFile:
    """Return the images of a file, which may have none. Raise LayerError as `read_list`.

    `lines` False refuses plain lists, whose errors quote a line: a name in a directory may lead to
    a file that the directory's owner may not read.
    """
    if len(raw) > limit:
        raise LayerError(
            f"{origin} has {len(raw)} bytes, more than {limit}", hint="--max-list-size allows more"
        )
    text = decoded(raw.removeprefix(BOM_UTF8), origin)
    found = _read(text, origin, limit)
    if found is not None:
        return found
    if not lines:
        raise LayerError(f"{origin} is no unit, and no manifest")
    return read_lines(text, origin)


def _read(text: str, origin: str, limit: int) -> ListFile | None:
    """Return the images of a file of any format but a plain list."""
    if is_unit(text):
        return read_unit(text, origin)
    if _BLUEPRINT.search(text):
        return read_blueprint(text, origin, limit)
    if _YAML.search(text):
        manifests = read_manifests(text, origin, limit)
        if manifests is None:
            raise LayerError(f"{origin} is YAML or JSON of no kind that we know")
        return manifests
    return None
