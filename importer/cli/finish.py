"""End a command: print its result or its error, and exit. Nothing else does."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from importer.cli.messages import log_line
from importer.cli.signals import interruptible
from importer.cli.streams import mute, say
from importer.errors import Failures, ImporterError
from importer.files.scratch import clear_abandoned_scratch
from layers.errors import Fault, escaped
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


UNCHANGED = 77  # rpm-ostree's status for it
INCOMPLETE = 3


@frozen
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
    status = interruptible(lambda: _status(work, log_json=log_json))
    gc.freeze()  # Python would look through all of it once more, before it ends
    sys.exit(status)


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


def end_early(error: Fault | click.UsageError, *, log_json: bool) -> NoReturn:
    """Print an error of the command line or of a config file, and exit: with 2 for the former.

    A group without a command prints its help, as click does.
    """
    if type(error).__name__ == "NoArgsIsHelpError":  # since click 8.2
        click.echo(error, err=True)
    else:
        fault = error if isinstance(error, Fault) else _usage_fault(error)
        _say(fault, log_json=log_json)
    sys.exit(1 if isinstance(error, Fault) else error.exit_code)


def _usage_fault(error: click.UsageError) -> ImporterError:
    """Return click's error in the form of ours: no capital, no full stop, and a hint."""
    similar: Sequence[str] | None = getattr(error, "possibilities", None)
    text = error.format_message() if similar is None else error.message
    text = " ".join(text.split()).removesuffix(".")
    if text[1:2].islower():
        text = text[0].lower() + text[1:]
    program = error.ctx.command_path if error.ctx else os.path.basename(sys.argv[0])  # noqa: PTH119
    hints = [f"did you mean {similar[0]}?"] if similar else []
    if error.ctx:
        usage = " ".join(error.ctx.get_usage().split())
        hints.append(usage[0].lower() + usage[1:])
    return ImporterError(text, hint="; ".join([*hints, f"`{program} -h` shows the options"]))


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
