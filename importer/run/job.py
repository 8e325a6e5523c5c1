"""An import that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.ingest.executor import local_executors

if TYPE_CHECKING:
    from importer.commit.target import Target
    from importer.ingest.executor import OpenExecutors
    from importer.release.files import FilesToWrite
    from importer.sources.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """An import of a source's images to a target.

    `executors` opens what reads layers: processes of this machine, or a cluster. `keep_going`
    commits a release without the components that cannot be imported. `keep` is how many releases
    stay on a branch, None for all. `files` get a release's digests.
    """

    target: Target
    source: Source
    executors: OpenExecutors = local_executors
    keep_going: bool = False
    keep: int | None = None
    files: FilesToWrite | None = None
