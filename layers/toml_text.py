"""Parse TOML from outside, within bounds: to read it, or to write it again with changes."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from layers.document import MAX_TEXT_SIZE
from layers.errors import LayerError, first_line

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
# The dots of a key or of a table's name, at the beginning of a line or in an inline table.
_DOTTED = re.compile(
    rf"(?:^[ \t]*+(?:\[{{1,2}}[ \t]*+)?|[{{,][ \t]*+)((?:{_PART}\.[ \t]*+)++)", re.MULTILINE
)
# What tomllib puts behind a message.
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
# tomllib's time grows with the square of a key's parts, and each key below a table pays for the
# parts of the table's name; a key takes some three kilobytes.
_LONGEST = 32
_MOST_KEYS = 20_000
_MOST_TABLES = 10_000
_MOST_DOTS = 10_000
# tomlkit's time grows with the square of the dotted keys and of the tables within tables (0.13: 200
# of them take a second).
_MOST_DOTTED = 100
_MOST_EDITED = 1 << 17  # bytes: tomlkit makes an object of each blank line and comment


def parse_toml(raw: bytes, what: str, limit: int = MAX_TEXT_SIZE) -> dict[str, Any]:
    """Return the table. Raise LayerError, naming `what`, if the text is not TOML, has more than
    `limit` bytes, or more keys and tables than people write."""
    if len(raw) > limit:
        raise LayerError(f"{what} has {len(raw)} bytes, more than {limit}")
    try:
        text = raw.decode("utf-8")
        _check(text, what)
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for a number of 4300 digits
        problem, line = _AT_LINE.sub("", first_line(error)), _AT_LINE.search(first_line(error))
        where = f"{what}:{line[1]}" if line else what
        raise LayerError(f"{where}: not TOML: {problem}") from None


def line_of(text: str, key: str) -> int:
    """Return the number of the first line that sets a key of the top table, 0 if none does."""
    setting = re.compile(rf"""[ \t]*["']?{re.escape(key)}["']?[ \t]*=""")
    return next((n for n, line in enumerate(text.splitlines(), 1) if setting.match(line)), 0)


def _check(text: str, what: str) -> None:
    dots = [match[1].count(".") for match in _DOTTED.finditer(text)]
    for count, most, kind in (
        (max(dots, default=0), _LONGEST, "dots in a key"),
        (sum(dots), _MOST_DOTS, "dots in keys"),
        (text.count("="), _MOST_KEYS, "keys"),
        (text.count("\n["), _MOST_TABLES, "tables"),
    ):
        if count > most:
            raise LayerError(f"{what} has more than {most} {kind}")


def editable_toml(raw: bytes, what: str) -> TOMLDocument:
    """Return a document that keeps comments and order when it is written. Raise LayerError as
    `parse_toml` does, and for more than 128 KiB, or 100 dotted keys and tables within tables."""
    import tomlkit  # takes long to load
    from tomlkit.exceptions import TOMLKitError

    parse_toml(raw, what, _MOST_EDITED)  # tomlkit is less strict
    if len(_DOTTED.findall(raw.decode())) > _MOST_DOTTED:
        raise LayerError(f"{what} has more than {_MOST_DOTTED} dotted keys")
    try:
        return tomlkit.parse(raw)
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise LayerError(f"{what}: not TOML: {first_line(error)}") from None
