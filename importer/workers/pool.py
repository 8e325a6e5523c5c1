"""Worker processes, each of which does one job or task at a time.

Threads of one Python process cannot compute at the same time, but processes can. So one process
reads a layer, from its blob to its objects: it unpacks the blob in one thread, and hashes and
writes the files in another. The importing process sends it requests through a socket, and with a
request the descriptor of the pipe that the blob comes through.
"""

from __future__ import annotations

import pickle
import socket
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from importer.process import Server
from importer.workers.worker import SIZE, Run, Write, received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from importer.progress import Advance
    from importer.repo.new_objects import ObjectPlace
    from importer.workers.job import Job, Task
    from importer.workers.worker import Answer, JobDone, WorkRequest

    type OnFull = Callable[[str], None]
    type OnMessage = Callable[[int | str], None]

# A worker process finds the modules where this process has found them. The last directory is for an
# editable install, which has none in `sys.path`.
_PATH = [*sys.path, str(Path(__file__).parent.parent.parent)]
_MAIN = """\
import gc, sys
gc.disable()
sys.path[:] = {path!r}
import {preload}
from importer.workers.worker import serve
serve({descriptor})
"""


class Workers:
    """Starts worker processes on demand and lends each to one thread at a time."""

    def __init__(self, preload: str) -> None:
        """`preload` names the module that defines the jobs. A process loads it when it starts,
        before its first job comes."""
        self._preload = preload
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self.busy = 0  # how many processes are lent

    @property
    def has_idle(self) -> bool:
        """Return whether a process that has started waits for work."""
        return bool(self._idle)

    def close(self) -> None:
        """End all processes. Call this when no process is lent."""
        for worker in self._idle:
            worker.close()
        self._idle.clear()

    @contextmanager
    def lent(self) -> Iterator[Worker]:
        """Lend a process to this thread alone. The process has started when the context begins; one
        that has failed meanwhile is not lent again."""
        with self._lock:
            idle = self._idle.pop() if self._idle else None
        worker = idle or Worker(self._preload)
        with self._lock:
            self.busy += 1
        try:
            yield worker
        finally:
            with self._lock:
                self.busy -= 1
                if not worker.is_over:
                    self._idle.append(worker)


class Worker:
    """A running worker process and the socket to it; `is_over` after a failure."""

    def __init__(self, preload: str) -> None:
        """Start the process. `preload` names the module that it loads first."""
        self.is_over = False
        with ExitStack() as opened:
            self._socket, theirs = socket.socketpair()
            opened.callback(self._socket.close)
            with theirs:
                main = _MAIN.format(path=_PATH, preload=preload, descriptor=theirs.fileno())
                argv = [sys.executable, "-S", "-E", "-c", main]
                self._server = Server(argv, [theirs.fileno()])
            opened.callback(self._server.stop)
            self._opened = opened.pop_all()

    def close(self) -> None:
        self.is_over = True
        self._opened.close()

    def write[T](
        self,
        job: Job[T],
        place: ObjectPlace,
        source: int,
        advance: Advance,
        on_full: OnFull = lambda _directory: None,
    ) -> JobDone[T]:
        """Do a job in the process, and store its objects in `place`.

        `source` is the descriptor that the job reads from, -1 for none. `advance` is called with
        the number of bytes read, and may raise to stop the job. `on_full` is called with the path
        of each directory below `place` that gets no more objects, before the job ends.

        Raise the job's LayerError or ImporterError, OSError if an object cannot be written,
        CommandError if the process is gone.
        """

        def on_message(message: int | str) -> None:
            if isinstance(message, int):
                advance(message)
            else:
                on_full(message)

        descriptors = [source] if source >= 0 else []
        return self._done(Write(job, place), descriptors, on_message)

    def run[T](self, task: Task[T]) -> T:
        """Do a task in the process. Raise the task's LayerError or ImporterError, CommandError if
        the process is gone."""
        return self._done(Run(task), (), lambda _message: None).result

    def _done[T](
        self, request: WorkRequest[T], descriptors: Sequence[int], on_message: OnMessage
    ) -> JobDone[T]:
        answer: Answer[T] | None = None
        try:
            answer = self._ask(request, descriptors, on_message)
        finally:
            if answer is None:
                self.close()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ask[T](
        self, request: WorkRequest[T], descriptors: Sequence[int], on_message: OnMessage
    ) -> Answer[T]:
        data = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        try:
            socket.send_fds(self._socket, [SIZE.pack(len(data))], descriptors)
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise self._server.failure() from None
        while isinstance(answer := self._answer(request), int | str):
            on_message(answer)
        return answer

    def _answer[T](self, _request: WorkRequest[T]) -> Answer[T] | int | str:
        (size,) = SIZE.unpack(self._receive(SIZE.size))
        answer: Answer[T] | int | str = pickle.loads(self._receive(size))  # noqa: S301 - our own process
        return answer

    def _receive(self, size: int) -> bytearray:
        try:
            return received(self._socket, size)
        except (EOFError, ConnectionResetError):
            raise self._server.failure() from None
