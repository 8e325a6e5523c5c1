"""Do one job, such as to read a layer, in a worker process or here, for a repo's transaction."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.repo.libostree import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.progress import Advance
    from importer.repo.writer import Repo
    from importer.workers.job import Job
    from importer.workers.pool import Worker, Workers
    from importer.workers.shared_queue import SharedQueue


@contextmanager
def lent_worker(repo: Repo, workers: Workers) -> Iterator[Worker | None]:
    """Lend a process that can write objects; None where libostree itself has to write the files."""
    if not repo.writes_beside:
        yield None
    else:
        with workers.lent() as worker:
            yield worker


def run_job[T](
    repo: Repo,
    worker: Worker | None,
    job: Job[T],
    source: int,
    advance: Advance,
    queue: SharedQueue | None = None,
) -> T:
    """Do a job, such as to read a layer, and store its files in the repo's transaction.

    `source` is the descriptor that the job reads from, -1 if it needs none. `advance` is told of
    the bytes read, and may raise to stop the job. Helpers of the worker take from the `queue`.
    """
    if worker is None:
        return job.read(repo, source, advance)
    with faults(f"writing files to repo {repo.path}"):
        done = worker.write(job, repo.new_place(), source, advance, queue)
    repo.count_written(done.written_bytes)
    return done.found
