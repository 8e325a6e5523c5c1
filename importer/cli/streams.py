"""Standard output and error where they cannot be written to any more."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def say(line: str) -> None:
    """A line on standard error, at once; a log that is full or gone does not end the work."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        mute(sys.stderr)


def mute(stream: TextIO) -> None:
    """What it holds back, and all that comes, goes nowhere; Python would try again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def complete() -> None:
    """Open those that were closed when we began: Python has None for them, and their numbers
    would go to the first files that are opened."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
