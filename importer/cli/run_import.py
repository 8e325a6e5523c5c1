"""Run an import and print its result."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NoReturn, Protocol

from importer.cli.finish import UNCHANGED, Answer, end
from importer.cli.messages import progress_for
from importer.cli.options.output import Document, Messages, Rehearsal, Unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from importer.cli.options.declare import Given
    from importer.commit.dry_run import DryRun
    from importer.commit.result import Result
    from importer.progress import Progress


def end_import[J](
    given: Given,
    make_job: Callable[[], J],
    work: Callable[[J, Progress], Result],
    plan: Callable[[J, Progress], DryRun],
) -> NoReturn:
    """Make the job, import the images, or with --dry-run plan it, print the result and exit."""
    if given(Rehearsal).dry_run:
        end_job(given, make_job, plan)
    end_job(given, make_job, lambda job, progress: _told(job, work, progress))


class Outcome(Protocol):
    """The result of a job, as it is printed."""

    @property
    def unchanged(self) -> bool:
        """Return whether no ref was moved."""

    def lines(self) -> Sequence[str]:
        """Return what is printed without --json."""

    def document(self) -> Mapping[str, object]:
        """Return the JSON document."""


def end_job[J](
    given: Given, make_job: Callable[[], J], work: Callable[[J, Progress], Outcome]
) -> NoReturn:
    """Make the job, do the work, print the result and exit."""

    def answer() -> Answer:
        result = work(make_job(), progress_for(given(Messages)))
        as_json = given(Document).as_json
        text = json.dumps(result.document(), indent=2) if as_json else "\n".join(result.lines())
        unchanged = result.unchanged and given(Unchanged).unchanged_exit_77
        return Answer(text, UNCHANGED if unchanged else 0)

    end(answer, log_json=given(Messages).log_json)


def _told[J](job: J, work: Callable[[J, Progress], Result], progress: Progress) -> Result:
    from importer.cache.omitted import tell_left_out

    began = time.monotonic()
    result = work(job, progress)
    tell_left_out(result.layers, result.fetched, progress)
    progress.message(result.summary(time.monotonic() - began))
    return result
