"""The main loop of a worker process, and the requests that it answers; see `pool.py`.

Each message is its length, as 8 bytes, and then a pickled object. A request is one message with a
`WorkRequest`, and may bring a descriptor. The answer is several messages: numbers, each the bytes
read since the one before, and paths of directories that are full of objects; then a `JobDone` or an
exception. Both ends are the same program on the same machine, so messages have no version and
nothing foreign is unpickled.
"""

from __future__ import annotations

import gc
import os
import pickle
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from importer.repo.new_objects import NewObjects, ObjectPlace
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from importer.workers.job import Job, Task

SIZE = struct.Struct("=Q")
# Report progress after this many bytes, calls or seconds, whichever comes first.
_MUCH = 1 << 20
_OFTEN = 500
_SECONDS = 0.3


class Write[T](NamedTuple):
    """A request to do a job and to store its objects in `place`.

    The request may bring a descriptor to read from.
    """

    job: Job[T]
    place: ObjectPlace

    def done(self, descriptors: Sequence[int], messages: _JobMessages) -> JobDone[T]:
        source = next(iter(descriptors), -1)
        umask = os.umask(0)  # files get exactly the mode given to open(2)
        objects = NewObjects(self.place, 0, messages.tell)
        try:
            return JobDone(self.job.read(objects, source, messages.advance), objects.written_bytes)
        finally:
            objects.close()
            os.umask(umask)


class Run[T](NamedTuple):
    """A request to do a task, which writes no objects."""

    task: Task[T]

    def done(self, _descriptors: Sequence[int], _messages: _JobMessages) -> JobDone[T]:
        return JobDone(self.task.run(), 0)


class JobDone[T](NamedTuple):
    """The result of a job or task, such as a layer, and the bytes that its new files take."""

    result: T
    written_bytes: int


type WorkRequest[T] = Write[T] | Run[T]
type Answer[T] = JobDone[T] | Exception


def serve(descriptor: int) -> None:
    """Answer requests until the importing process is gone."""
    gc.freeze()  # what the modules made stays, and need not be looked through
    gc.enable()
    with socket.socket(fileno=descriptor) as asker, suppress(EOFError):
        while True:
            request, descriptors = _request(asker)
            _send(asker, _answer(request, descriptors, asker))


def _request(asker: socket.socket) -> tuple[WorkRequest[object], list[int]]:
    """Receive the next request, with its descriptors."""
    head, descriptors, _, _ = socket.recv_fds(asker, SIZE.size, 1)
    if len(head) < SIZE.size:
        raise EOFError
    request: WorkRequest[object] = pickle.loads(received(asker, *SIZE.unpack(head)))  # noqa: S301 - our own
    return request, descriptors


def received(connection: socket.socket, size: int) -> bytearray:
    """Receive `size` bytes. Raise EOFError if the other process is gone."""
    data = bytearray(size)
    left = memoryview(data)
    while left:
        count = connection.recv_into(left)
        if not count:
            raise EOFError
        left = left[count:]
    return data


def _send(asker: socket.socket, message: Answer[object] | int | str) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    try:
        asker.sendall(SIZE.pack(len(data)))
        asker.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        raise SystemExit from None  # the importing process was killed


def _answer(
    request: WorkRequest[object], descriptors: Sequence[int], asker: socket.socket
) -> Answer[object]:
    messages = _JobMessages(lambda message: _send(asker, message))
    try:
        done = request.done(descriptors, messages)
    except (Fault, OSError) as error:
        return error
    except Exception as error:
        import traceback  # nothing else of a worker needs it

        error.add_note(traceback.format_exc())
        return error
    finally:
        messages.tell_size()
        for descriptor in descriptors:
            os.close(descriptor)
    return done


class _JobMessages:
    """Sends messages while a job runs, from any thread.

    Adds up the bytes read, since a layer may be read in small pieces.
    """

    def __init__(self, send: Callable[[int | str], None]) -> None:
        self._send = send
        self._sending = threading.Lock()
        self._size = 0
        self._times = 0
        self._told = time.monotonic()

    def advance(self, size: int) -> None:
        self._size += size
        self._times += 1
        if self._size >= _MUCH or self._times >= _OFTEN or self._is_late():
            self.tell_size()

    def _is_late(self) -> bool:
        return time.monotonic() > self._told + _SECONDS

    def tell_size(self) -> None:
        self.tell(self._size)
        self._size = self._times = 0
        self._told = time.monotonic()

    def tell(self, message: int | str) -> None:
        """Send the number of bytes read, or the path of a directory that is full."""
        with self._sending:
            self._send(message)
