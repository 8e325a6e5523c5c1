"""Standard streams that are closed, full, or have no reader."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def say(line: str) -> None:
    """Write a line to standard error at once. If it cannot be written, the work goes on."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        mute(sys.stderr)


def mute(stream: TextIO) -> None:
    """Discard what the stream holds and what is written to it later.

    Python would otherwise try again to write it when it exits.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def complete() -> None:
    """Open /dev/null for each standard stream that was closed when the process began.

    Otherwise Python has None for the stream, and the next file that is opened gets its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
