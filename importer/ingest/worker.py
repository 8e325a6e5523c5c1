"""A process that reads layers for an import: see importer/ingest/worker_pool.py.

A request is an 8-byte number and as many bytes, a pickled `Read`; a descriptor may come with it.
The answer is any number of pickled numbers, the bytes that were read since the last one, and then
what was read, a pickled `Done`, or a pickled exception, all in the same form. Both ends are the
same program, so there is no version and no foreign input.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import traceback
from typing import TYPE_CHECKING, NamedTuple

import importer.ingest.job  # noqa: F401 - before the first request, which will need it
from importer.repo.staging import NewObjects, Place
from layers.errors import Fault
from layers.tree.prewrite import seal
from layers.tree.read_layer import ReadLayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.ingest.job import Job
    from importer.progress import Advance

SIZE = struct.Struct("=Q")
# Progress is told of after so many bytes, or so many times that there was some.
_MUCH = 1 << 20
_OFTEN = 500


class Read[T](NamedTuple):
    """A job to be done, and where its objects go."""

    job: Job[T]
    place: Place


class Done[T](NamedTuple):
    """A job's result, such as a layer, and the bytes that its new files take."""

    found: T
    written_bytes: int


type Answer[T] = Done[T] | Exception


def serve(descriptor: int) -> None:
    """Answer requests until the importing process is gone."""
    os.umask(0)  # files get exactly the mode given to open(2)
    with socket.socket(fileno=descriptor) as asker:
        while True:
            request, source = _request(asker)
            _send(asker, _answer(request, source, asker))


def _request(asker: socket.socket) -> tuple[Read[object], int]:
    """Receive the next request, with its descriptor or -1."""
    head, descriptors, _, _ = socket.recv_fds(asker, SIZE.size, 1)
    if len(head) < SIZE.size:
        raise SystemExit  # who asked is gone
    data = bytearray(SIZE.unpack(head)[0])
    left = memoryview(data)
    while left:
        left = left[asker.recv_into(left) or _gone() :]
    request: Read[object] = pickle.loads(data)  # noqa: S301 - our own
    return request, descriptors[0] if descriptors else -1


def _gone() -> int:
    """Exit: the importing process was killed, so no process waits for the answer."""
    raise SystemExit


def _send(asker: socket.socket, answer: Answer[object] | int) -> None:
    data = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    try:
        asker.sendall(SIZE.pack(len(data)))
        asker.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        _gone()


def _answer(request: Read[object], source: int, asker: socket.socket) -> Answer[object]:
    progress = _Progress(lambda size: _send(asker, size))
    try:
        done = _read(request, source, progress.advance)
        progress.tell()
    except (Fault, OSError) as error:
        return error
    except Exception as error:
        error.add_note(traceback.format_exc())
        return error
    finally:
        if source >= 0:
            os.close(source)
    return done


def _read[T](request: Read[T], source: int, advance: Advance) -> Done[T]:
    objects = NewObjects(request.place, umask=0)
    try:
        found = request.job.read(objects, source, advance)
        if isinstance(found, ReadLayer):
            seal(found.tree, objects.write_meta)
    finally:
        objects.close()
    return Done(found, objects.written_bytes)


class _Progress:
    """Adds up the bytes read, since a layer may be read in small pieces."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._size = 0
        self._times = 0

    def advance(self, size: int) -> None:
        self._size += size
        self._times += 1
        if self._size >= _MUCH or self._times >= _OFTEN:
            self.tell()

    def tell(self) -> None:
        self._tell(self._size)
        self._size = self._times = 0
