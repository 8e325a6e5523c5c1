"""Make the executors that read an import's layers: processes of this machine, or a cluster."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.fetch.blobs import Blobs
    from importer.ingest.allowance import Allowance
    from importer.ingest.budget import Budget
    from importer.ingest.cluster.address import Cluster
    from importer.ingest.cluster.executor import ClusterExecutor
    from importer.ingest.cluster.session import Session
    from importer.ingest.executor import LocalExecutor
    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.tree.read_layer import LayerOptions


class Executors:
    """Makes the executors of one import: for a release, one for each architecture."""

    def __init__(self, repo: Repo, session: Session | None, progress: Progress) -> None:
        """`session` None stands for this machine."""
        self._repo = repo
        self._session = session
        self._progress = progress

    def make(
        self, blobs: Blobs | None, options: LayerOptions, allowance: Allowance
    ) -> LocalExecutor | ClusterExecutor:
        """Return an executor. `blobs` fetches blobs; None if every layer is on this machine."""
        if self._session is None:
            from importer.ingest.executor import LocalExecutor

            return LocalExecutor(self._repo, blobs, options, self._progress, allowance)
        from importer.ingest.cluster.executor import ClusterExecutor

        return ClusterExecutor(self._session, blobs, options, self._progress, allowance)

    def budget(self, asked: Budget, missing: Sequence[MissingLayer]) -> Budget:
        """Return how much is done at once: as `asked`, or as much as the cluster can take.

        Connect to the cluster if layers are missing. Raise ImporterError if that fails.
        """
        if self._session is None or not missing:
            return asked
        return replace(asked, downloads=0, jobs=self._session.start())


@contextmanager
def opened_executors(
    cluster: Cluster | None, repo: Repo, progress: Progress
) -> Iterator[Executors]:
    """Yield the executors; the caller keeps the repo locked meanwhile."""
    if cluster is None:
        yield Executors(repo, None, progress)
        return
    from importer.ingest.cluster.session import Session

    with Session(cluster, repo, progress) as session:
        yield Executors(repo, session, progress)
