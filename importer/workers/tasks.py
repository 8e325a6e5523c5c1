"""Do tasks in worker processes, several at once, or in this process where that is faster."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from importer.workers.pool import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from importer.workers.job import Task

# The bytes of file content for which a process is worth its start: it loads libostree first, in
# the time in which it reads and hashes about as much.
_WORTH = 32 << 20


def processes(jobs: int, sizes: Iterable[int]) -> int:
    """Return how many processes to use, at most `jobs`, for tasks that read so many bytes each.

    1 stands for this process alone, which is faster where there is little to read.
    """
    known = list(sizes)
    return max(1, min(jobs, len(known), sum(known) // _WORTH))


class Tasks:
    """Does tasks in processes that end with the context; an error cancels those not yet begun."""

    def __init__(self, count: int, preload: str) -> None:
        """Use `count` processes; 1 is this process. `preload` names the module of the tasks."""
        self._count = count
        self._workers = Workers(preload) if count > 1 else None
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="task")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._workers is not None:
            self._workers.close()

    def begin[T](self, task: Task[T]) -> Future[T]:
        """Queue a task. Its result raises LayerError or ImporterError if the task does."""
        return self._pool.submit(self._run, task)

    def ordered[T](self, tasks: Iterable[Task[T]]) -> Iterator[T]:
        """Do the tasks and yield their results in order.

        No more than two tasks for each process are begun and not yielded yet: results can be
        large.
        """
        begun: deque[Future[T]] = deque()
        for task in tasks:
            begun.append(self.begin(task))
            if len(begun) > 2 * self._count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def _run[T](self, task: Task[T]) -> T:
        if self._workers is None:
            return task.run()
        with self._workers.lent() as worker:
            return worker.run(task)
