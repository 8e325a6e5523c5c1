"""Do tasks and jobs in worker processes, or in this process where that is faster."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Self

from importer.repo.libostree import faults
from importer.workers.pool import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from importer.progress import Advance
    from importer.repo.writer import Repo
    from importer.workers.job import Job, Task
    from importer.workers.pool import OnFull, Worker


# A process is worth its start for at least this many bytes of file content: in the time that it
# takes to start and to load libostree, this process reads and hashes about as many.
_WORTH = 32 << 20


def processes(jobs: int, sizes: Iterable[int]) -> int:
    """Return how many processes to use for some tasks, at most `jobs`.

    `sizes` are the bytes that each task reads. Return 1, for this process alone, if starting
    processes takes longer than reading these bytes.
    """
    tasks = list(sizes)
    return max(1, min(jobs, len(tasks), sum(tasks) // _WORTH))


class Tasks:
    """Do tasks and jobs in threads, each with a worker process."""

    def __init__(self, count: int, preload: str) -> None:
        """Use `count` processes; for tasks, 1 stands for this process. `preload` names the module
        that defines the tasks."""
        self._count = count
        self._workers = Workers(preload)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="task")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what has not begun, wait for the rest, and end the processes."""
        self._pool.shutdown(cancel_futures=True)
        self._workers.close()

    def begin[T](self, task: Task[T]) -> Future[T]:
        """Queue a task. The future raises the task's LayerError or ImporterError."""
        return self._pool.submit(self._run, task)

    def ordered[T](self, tasks: Iterable[Task[T]]) -> Iterator[T]:
        """Do the tasks, and yield their results in the order of the tasks.

        Results can be large. So at most two tasks for each process are begun before their results
        are taken.
        """
        begun: deque[Future[T]] = deque()
        for task in tasks:
            begun.append(self.begin(task))
            if len(begun) > 2 * self._count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def begin_job[T](
        self, repo: Repo, job: Job[T], source: int = -1, *, apart: bool = True
    ) -> Future[T]:
        """Queue a job that reads from the descriptor `source`, and stores files in the repo's
        transaction. Unless `apart`, this process does the job. The future raises as `run_job`."""
        return self._pool.submit(self._run_job, repo, job, source, apart=apart)

    def _run_job[T](self, repo: Repo, job: Job[T], source: int, *, apart: bool) -> T:
        with lent_worker(repo, self._workers) if apart else nullcontext() as worker:
            return run_job(repo, worker, job, source, lambda _count: None)

    def _run[T](self, task: Task[T]) -> T:
        if self._count == 1:
            return task.run()
        with self._workers.lent() as worker:
            return worker.run(task)


@contextmanager
def lent_worker(repo: Repo, workers: Workers) -> Iterator[Worker | None]:
    """Lend a process that writes objects. Yield None for a repo whose objects only libostree can
    write, in this process."""
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
    on_full: OnFull = lambda _directory: None,
) -> T:
    """Do a job, such as to read a layer, and store its files in the repo's transaction.

    The arguments are those of `Worker.write`. Without a `worker`, do the job in this process.
    """
    if worker is None:
        return job.read(repo, source, advance)
    with faults(f"writing files to repo {repo.path}"):
        done = worker.write(job, repo.new_place(), source, advance, on_full)
    repo.count_written(done.written_bytes)
    return done.result
