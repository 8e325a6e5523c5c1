"""Make the executors that read an import's layers: one for each part of its plan."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from importer.fetch.blobs import Blobs
    from importer.ingest.budget import Allowance, Budget
    from importer.ingest.executor import Executor
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.tree.read_layer import LayerOptions

    # Open the executors of an import; the caller keeps the repo locked meanwhile.
    type OpenExecutors = Callable[[Repo, Progress], AbstractContextManager[Executors]]


class Executors(Protocol):
    """Makes the executors of one import; for a release, one for each architecture."""

    def make(self, blobs: Blobs | None, options: LayerOptions, allowance: Allowance) -> Executor:
        """Return an executor. `blobs` fetches blobs; None if every layer is on this machine."""

    def budget(self, asked: Budget, missing: Sequence[MissingLayer]) -> Budget:
        """Return how much is done at once: as `asked`, or as much as the executors can take."""


@dataclass(frozen=True, slots=True)
class LocalExecutors:
    """`Executors` of processes of this machine."""

    repo: Repo
    progress: Progress

    def make(self, blobs: Blobs | None, options: LayerOptions, allowance: Allowance) -> Executor:
        """See `Executors`."""
        # An import that finds nothing new does not load what reads layers.
        from importer.ingest.executor import LocalExecutor

        return LocalExecutor(self.repo, blobs, options, self.progress, allowance)

    def budget(self, asked: Budget, missing: Sequence[MissingLayer]) -> Budget:  # noqa: ARG002
        """See `Executors`."""
        return asked


@contextmanager
def local_executors(repo: Repo, progress: Progress) -> Iterator[Executors]:
    """Yield the executors of this machine."""
    yield LocalExecutors(repo, progress)
