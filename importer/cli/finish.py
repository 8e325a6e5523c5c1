"""End a command: print its result or its error, and exit. Nothing else does."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import click

from importer.cli.messages import log_line
from importer.cli.signals import interruptible
from importer.cli.streams import mute, say
from importer.errors import Failures, ImporterError
from importer.files.scratch import clear_abandoned_scratch
from layers.errors import Fault, escaped

if TYPE_CHECKING:
    from collections.abc import Callable


UNCHANGED = 77  # rpm-ostree's status for it
INCOMPLETE = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """The result: `text` goes to standard output, `aside` to standard error."""

    text: str
    status: int = 0
    aside: str = ""


def end(work: Callable[[], Answer], *, log_json: bool = False) -> NoReturn:
    """Do the work, print its answer and exit with its status.

    A Fault is printed as one line and a hint, or as one line of --log-json, and ends in exit
    status 1.
    """
    gc.freeze()  # what the modules made stays, and need not be looked through
    gc.enable()
    sys.exit(interruptible(lambda: _status(work, log_json=log_json)))


def _status(work: Callable[[], Answer], *, log_json: bool) -> int:
    try:
        clear_abandoned_scratch()
        answer = work()
        if answer.aside:
            say(answer.aside)
        print_text(answer.text)
    except Fault as error:
        _say(error, log_json=log_json)
        return 1
    except BrokenPipeError:
        return 1
    return answer.status


def print_text(text: str) -> None:
    """Print the text. Raise BrokenPipeError if it has no reader, else ImporterError."""
    try:
        if text:
            click.echo(text)
    except OSError as error:
        mute(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise ImporterError(
            f"the result cannot be written: {error.strerror}",
            hint="the work itself is done; running the command again prints the same result",
        ) from None


def _say(error: Fault, *, log_json: bool) -> None:
    """Print an error; for several Failures each of them, then the whole.

    A hint that several failures in a row have is printed once, after the last of them.
    """
    named = [*error.faults.items()] if isinstance(error, Failures) else []
    lines = [(f"{name}: {fault}", fault.advice) for name, fault in named]
    lines.append((str(error), error.advice))
    following = [hint for _, hint in lines[1:]] + [""]
    for (text, hint), later in zip(lines, following, strict=True):
        if log_json:
            say(log_line("error", text, hint=hint))
            continue
        # The text may come from a registry or a file.
        say(escaped(f"error: {text}"))
        if hint and hint != later:
            say(escaped(f"hint: {hint}"))
