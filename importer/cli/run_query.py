"""Run a subcommand of image-store and print what it found."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from importer.cli.finish import Answer, end
from importer.cli.options.output import Document, Messages
from importer.cli.options.stores import StoreArguments
from importer.render.json_text import json_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.cli.options.declare import Given
    from importer.render.table import Shown
    from importer.repo.writer import Repo


def end_query(given: Given, work: Callable[[Repo], Shown]) -> NoReturn:
    """Open the repo, do the work, print the tables or the JSON document, and exit."""

    def in_repo() -> Shown:
        from importer.repo.writer import Repo

        return work(Repo.open(given(StoreArguments).repo))

    end_shown(given, in_repo)


def end_shown(given: Given, work: Callable[[], Shown]) -> NoReturn:
    """Do the work, print the tables or the JSON document, and exit."""

    def answer() -> Answer:
        from importer.render.table import rendered

        shown = work()
        if given(Document).as_json:
            return Answer(json_text(shown), shown.status)
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        return Answer(rendered(shown.blocks(), terminal=terminal), shown.status)

    end(answer, log_json=given(Messages).log_json)
