"""Options on how much a command does at once."""

from __future__ import annotations

from importer.cli.options.declare import Heading, OptionGroup, option, options, setting
from importer.cli.options.rules import explicit, refuse
from importer.cli.options.types import Number, Size
from importer.ingest.budget import Budget

_DEFAULT = Budget()


@options
class Jobs(OptionGroup):
    """The processors that a command uses."""

    HEADING = Heading.WORK
    COMMON = ("jobs",)

    jobs: int | None = option(
        "--jobs",
        "-j",
        metavar="N",
        type=Number(1, 1024),
        help="Keep this many processors busy: read, unpack or compress so many layers (import-tree:"
        " files) at once. Without it, all processors that this process may use.",
    )

    @property
    def count(self) -> int:
        """Return how many layers or files to work on at once."""
        return _DEFAULT.jobs if self.jobs is None else self.jobs


@options
class Downloads(OptionGroup):
    """The connections of a command that fetches blobs."""

    HEADING = Heading.WORK
    RULES = (
        refuse(
            explicit("max_parallel_downloads"),
            "cluster",
            error="--max-parallel-downloads is not for --cluster, whose workers fetch themselves",
        ),
    )

    max_parallel_downloads: int = option(
        "--max-parallel-downloads",
        metavar="N",
        type=Number(1, 1024),
        default=_DEFAULT.downloads,
        help="Fetch at most this many blobs at once.",
    )


@options
class Spool(OptionGroup):
    """The room for blobs that wait."""

    HEADING = Heading.WORK

    spool_size: int = setting("spool-size", type=Size(), default=_DEFAULT.spool)
