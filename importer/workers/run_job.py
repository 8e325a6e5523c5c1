"""Do one job in a worker process or in this one, and store its objects in a repo's transaction."""

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


@contextmanager
def lent_worker(repo: Repo, workers: Workers) -> Iterator[Worker | None]:
    """Lend a process that writes objects. Yield None for a repo whose objects only libostree can
    write, in this process."""
    if not repo.writes_beside:
        yield None
    else:
        with workers.lent() as worker:
            yield worker


def run_job[T](repo: Repo, worker: Worker | None, job: Job[T], source: int, advance: Advance) -> T:
    """Do a job, such as to read a layer, and store its files in the repo's transaction.

    The arguments are those of `Worker.write`. Without a `worker`, do the job in this process.
    """
    if worker is None:
        return job.read(repo, source, advance)
    with faults(f"writing files to repo {repo.path}"):
        done = worker.write(job, repo.new_place(), source, advance)
    repo.count_written(done.written_bytes)
    return done.result
