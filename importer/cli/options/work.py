"""Options on how much an importer does at once."""

from __future__ import annotations

from dataclasses import dataclass

from importer.cli.options.declare import Group, Heading, option
from importer.cli.options.types import Number, Size
from importer.ingest.budget import Budget, processors

_DEFAULT = Budget()


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs(Group):
    """The processes of a command that reads stored layers."""

    HEADING = Heading.WORK

    jobs: int | None = option(
        "--jobs",
        "-j",
        metavar="N",
        type=Number(1, 1024),
        help="Read this many layers at once, each in a process of its own; without it, as many as"
        " there are processors for this process.",
    )

    @property
    def count(self) -> int:
        """Return the number of processes to start."""
        return processors() if self.jobs is None else self.jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Group):
    """Processes, connections and the room for blobs that wait."""

    HEADING = Heading.WORK

    jobs: int | None = option(
        "--jobs",
        "-j",
        metavar="N",
        type=Number(1, 1024),
        help="Unpack this many layers at once, each in a process of its own; the processes that no"
        " layer takes help with the largest ones. Without it, as many as there are processors for"
        " this process.",
    )
    max_parallel_downloads: int = option(
        "--max-parallel-downloads",
        metavar="N",
        type=Number(1, 1024),
        default=_DEFAULT.downloads,
        help="Fetch at most this many blobs at once.",
    )
    spool_size: int = option(
        "--spool-size",
        type=Size(),
        default=_DEFAULT.spool,
        shown=f"{_DEFAULT.spool >> 30}G",
        help="Fetch so much before it can be unpacked, into files without a name in the repo's"
        " tmp directory; 0 fetches nothing that waits.",
    )

    def budget(self) -> Budget:
        """Return the options as the importers take them."""
        jobs = _DEFAULT.jobs if self.jobs is None else self.jobs
        return Budget(self.max_parallel_downloads, jobs, self.spool_size)
