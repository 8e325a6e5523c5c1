"""Run a job or a query, print its result and exit."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn, Protocol

from importer.cli.finish import INCOMPLETE, UNCHANGED, Answer, end
from importer.cli.messages import progress_for
from importer.cli.options.output import Output, Rehearsal, Unchanged
from importer.cli.options.result import STDOUT, CopyOptions
from importer.render.json_text import Documented, json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from importer.cli.options.given import Given
    from importer.progress import Progress
    from importer.render.table import Shown
    from importer.repo.writer import Repo
    from importer.run.import_all import ImportJob
    from importer.run.result import Result


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


def end_query(given: Given, work: Callable[[Repo], Shown]) -> NoReturn:
    """Open the repo, do the work, print the tables or the JSON document, and exit."""

    def in_repo() -> Shown:
        from importer.cli.options.stores import StoreArguments
        from importer.repo.writer import Repo

        return work(Repo.open(given(StoreArguments).repo))

    end_shown(given, in_repo)


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
