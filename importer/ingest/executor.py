"""The Protocol of what reads layers: processes of this machine, or the workers of a cluster."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from importer.fetch.blobs import Blobs
    from importer.ingest.budget import Allowance, Budget
    from importer.ingest.missing_layer import MissingLayer, OnRead
    from importer.ingest.spool import SpooledBlob
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.limits import LayerOptions

    # Makes the executor of a part of a plan that lacks layers. `Blobs` fetches blobs; None if every
    # layer is on this machine.
    type MakeExecutor = Callable[[Blobs | None, LayerOptions, Allowance], Executor]
    # Opens what the executors of an import share; the caller keeps the repo locked meanwhile.
    type OpenExecutors = Callable[[Repo, Progress], AbstractContextManager[MakeExecutor]]


@frozen
class ReadBy:
    """The worker that read a layer."""

    worker: str  # its address
    seconds: float  # how long it took, until the layer's files were durable


class Executor(Protocol):
    """Stores layers for a `LayerPool`, which decides their order. Called by several threads.

    `read_bytes`: how many bytes of layers without a blob were read. `readers`: a cluster's workers
    by the ids of the layers that they read.
    """

    read_bytes: int
    readers: dict[str, ReadBy]

    def budget(self, asked: Budget) -> Budget:
        """Return how much to do at once: as `asked`, or as much as the executor can take."""

    def fetch(self, missing: MissingLayer, into: SpooledBlob) -> None:
        """Fetch a layer's blob into the file. Keep an error in `into`, whose reader raises
        the error."""

    def store(self, missing: MissingLayer, blob: SpooledBlob | None, on_read: OnRead) -> int:
        """Read a layer and store its files.

        `blob` is that of the first origin, None if this origin has no blob. Call `on_read` with the
        layer, once, when the layer is read. Return when its files are durable; the result is the
        bytes that were added to the repo. Raise LayerError if the layer is wrong, ImporterError if
        it cannot be read or stored.
        """

    def stop(self) -> None:
        """Make all running calls fail soon, since the import has failed."""

    def close(self) -> None:
        """Release processes and connections. Call this when no other call is running."""


@contextmanager
def local_executors(repo: Repo, progress: Progress) -> Iterator[MakeExecutor]:
    """Yield a function that makes executors of this machine."""

    def make(blobs: Blobs | None, options: LayerOptions, allowance: Allowance) -> Executor:
        # An import that finds nothing new does not load what reads layers.
        from importer.ingest.local_executor import LocalExecutor

        return LocalExecutor(repo, blobs, options, progress, allowance)

    yield make
