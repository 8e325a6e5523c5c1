"""Do the work of a command, print its result or its error, and exit. Nothing else does."""

from __future__ import annotations

import gc
import os
import sys
import time
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, Protocol

import click

from importer.cli.messages import log_line, progress_for
from importer.cli.options.given import subcommand
from importer.cli.options.output import Output, Rehearsal, Unchanged
from importer.cli.options.result import STDOUT, CopyOptions
from importer.cli.signals import interruptible
from importer.cli.streams import mute, say
from importer.errors import Failures, ImporterError
from importer.files.scratch import clear_abandoned_scratch
from importer.render.json_text import Documented, json_text
from layers.errors import Fault, escaped
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from importer.cli.options.command import Command
    from importer.cli.options.declare import OptionGroup
    from importer.cli.options.given import Given
    from importer.progress import Progress
    from importer.render.table import Shown
    from importer.repo.writer import Repo
    from importer.run.import_all import ImportJob
    from importer.run.result import Result

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
    """Print the text, with escapes for what the stream's encoding lacks. Raise BrokenPipeError if
    it has no reader, else ImporterError."""
    encoding = sys.stdout.encoding
    try:
        if text:
            click.echo(text.encode(encoding, "backslashreplace").decode(encoding))
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


class Outcome(Documented, Protocol):
    """The result of a job, as it is printed."""

    @property
    def unchanged(self) -> bool:
        """Return whether no ref was moved."""

    def lines(self) -> Sequence[str]:
        """Return the text to print without --json."""


def end_import(
    given: Given,
    make_job: Callable[[Progress], ImportJob],
    then: Callable[[Result], None] = lambda _: None,
) -> NoReturn:
    """Make the job, import the images and call `then`, or with --dry-run plan the import; print the
    result and exit."""

    def work(progress: Progress) -> Outcome:
        job = make_job(progress)
        if given(Rehearsal).dry_run:
            from importer.run.dry_run import plan_import

            return plan_import(job, progress)
        result = imported(job, progress)
        then(result)
        return result

    end_work(given, work)


def imported(job: ImportJob, progress: Progress) -> Result:
    """Import, and tell in one line what was done."""
    from importer.run.import_all import import_all

    began = time.monotonic()
    result = import_all(job, progress)
    progress.message(result.summary(time.monotonic() - began))
    return result


def end_work(given: Given, work: Callable[[Progress], Outcome]) -> NoReturn:
    """Do the work, print its result and exit."""
    messages = given(Output)
    end(lambda: answer(given, work(progress_for(messages))), log_json=messages.log_json)


def answer(
    given: Given, result: Outcome, lines: Sequence[str] = (), *, incomplete: bool = False
) -> Answer:
    """Return the result's text, or these lines instead, or with --json its document. `incomplete`
    tells that components of a release are missing."""
    as_json = given(Output).as_json
    text = json_text(result) if as_json else "\n".join(lines or result.lines())
    if given.takes(CopyOptions) and given(CopyOptions).to == STDOUT:
        text = ""  # the tar is there
    if incomplete:
        return Answer(text, INCOMPLETE)
    unchanged = result.unchanged and given(Unchanged).unchanged_exit_77
    return Answer(text, UNCHANGED if unchanged else 0)


def query(
    name: str, *groups: type[OptionGroup]
) -> Callable[[Callable[[Given, Repo], Shown]], Command]:
    """Make a function a subcommand that opens the repo, calls the function, and prints what it
    returns."""

    def made(work: Callable[[Given, Repo], Shown]) -> Command:
        @wraps(work)
        def run(given: Given) -> None:
            def in_repo() -> Shown:
                from importer.cli.options.stores import StoreArguments
                from importer.repo.writer import Repo

                return work(given, Repo.open(given(StoreArguments).repo))

            end_shown(given, in_repo)

        return subcommand(name, *groups)(run)

    return made


def end_shown(given: Given, work: Callable[[], Shown]) -> NoReturn:
    """Do the work, print the tables or the JSON document, and exit."""

    def answer() -> Answer:
        from importer.render.table import rendered

        shown = work()
        if given(Output).as_json:
            return Answer(json_text(shown), shown.status)
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        return Answer(rendered(shown.blocks(), terminal=terminal), shown.status)

    end(answer, log_json=given(Output).log_json)
