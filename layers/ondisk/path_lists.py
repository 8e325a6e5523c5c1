"""The files of `ostree commit --statoverride` and `--skip-list`.

Source: ostree's src/ostree/ot-builtin-commit.c, `handle_statoverride_line` and
`handle_skiplist_line`, and src/libotutil/ot-fs-utils.c, `ot_parse_file_by_line`: a line each,
empty lines ignored, paths from the tree's root with a leading slash, nothing quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# ostree reads the mode with g_ascii_strtod: decimal, or hexadecimal behind 0x. What it would
# read as 0, or as another file type, is refused here.
_MODE = re.compile(rb"(=?)\+?(?:0[xX]([0-9a-fA-F]{1,8})|(\d{1,9}))")
_BITS = 0o7777
_NOTHING: Mapping[bytes, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class StatOverride:
    """Permission bits by path: `adds` are added to a file's own, `sets` replace them."""

    adds: Mapping[bytes, int] = field(default_factory=lambda: _NOTHING)
    sets: Mapping[bytes, int] = field(default_factory=lambda: _NOTHING)


def parse_statoverride(raw: bytes) -> StatOverride:
    """Parse lines of `MODE PATH` (add these bits) and `=MODE PATH` (set them), MODE in decimal.

    Raise LayerError, with the line's number, for a line of another form.
    """
    adds: dict[bytes, int] = {}
    sets: dict[bytes, int] = {}
    for number, line in _lines(raw):
        mode, space, path = line.partition(b" ")
        match = _MODE.fullmatch(mode)
        if not space or match is None:
            raise LayerError(f"line {number} is not of the form [=]MODE PATH, MODE in decimal")
        bits = int(match[2], 16) if match[2] else int(match[3])
        if bits & ~_BITS:
            raise LayerError(f"line {number} has mode {bits}; 4095 (octal 7777) is the largest")
        (sets if match[1] else adds)[path] = bits
    return StatOverride(adds, sets)


def parse_skip_list(raw: bytes) -> frozenset[bytes]:
    """Parse a path on each line."""
    return frozenset(line for _, line in _lines(raw))


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    return ((n, line) for n, line in enumerate(raw.split(b"\n"), 1) if line)
