"""Read the credentials that --creds or --creds-file gives."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.replacement import read_file

if TYPE_CHECKING:
    from importer.cli.options.registry import Access

_MOST_BYTES = 64 << 10
_FORM = "the file has one line, USER:PASSWORD"


def credentials(given: Access) -> str | None:
    """Return USER[:PASSWORD], or None without the options.

    Raise ImporterError if the file of --creds-file cannot be read, or is not one line of text.
    """
    return given.creds if given.creds_file is None else _read(given.creds_file)


@cache  # standard input can be read once
def _read(path: Path) -> str:
    is_stdin = str(path) == "-"
    raw = _stdin() if is_stdin else read_file(path, _MOST_BYTES, pipes=True)
    name = "standard input" if is_stdin else str(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ImporterError(f"{name} has credentials that are not UTF-8", hint=_FORM) from None
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0].partition(":")[0]:
        what = "no credentials" if not text.strip() else "something else than USER:PASSWORD"
        raise ImporterError(f"{name} has {what}", hint=_FORM)
    return lines[0]


def _stdin() -> bytes:
    # sys.stdin is None if descriptor 0 was closed when Python started.
    return sys.stdin.buffer.read(_MOST_BYTES) if sys.stdin is not None else b""
