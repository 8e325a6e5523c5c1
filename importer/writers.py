"""Processes that write objects beside the one that reads the tars.

Writing a small file is half a dozen system calls, and Python's threads wait for each other
after every one of them; processes do not. They are asked through pipes; the contents are in
memory that both ends share, as a pipe would have to take and copy each page of them anew.
"""

from __future__ import annotations

import errno
import os
import pickle
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from importer.process import Server
from importer.writermain import SIZE, Answer, Move, Place, Write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.objectfile import Content, Written

# As many as the readers of two tars can feed, or of one that has nothing but small files.
_PROCESSES = 2
# pwritev(2) takes so many at once, IOV_MAX of include/uapi/linux/uio.h.
_AT_ONCE = 1024
# With the same modules as ours, wherever they were found: an editable install has no directory
# in `sys.path`.
_PATH = [*sys.path, str(Path(__file__).parent.parent)]
_MAIN = """\
import sys
sys.path[:] = {path!r}
from importer.writermain import serve
serve({requests}, {answers}, {contents})
"""


class Writers:
    """Starts the processes when they are needed, lends each to one thread at a time, and ends
    them at the end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[Writer] = []
        self._begun: list[Writer] = []
        # One that moves is enough: a file system has one lock for moves between directories,
        # and who waits for it keeps a processor busy (fs/namei.c, lock_rename()).
        self.moving = threading.Lock()

    def close(self) -> None:
        """End them; nobody may have one."""
        for writer in self._begun:
            writer.close()

    @contextmanager
    def lent(self) -> Iterator[Writer]:
        """A process that nobody else uses meanwhile."""
        writer = self._taken()
        try:
            yield writer
        finally:
            with self._changed:
                self._idle.append(writer)
                self._changed.notify()

    def _taken(self) -> Writer:
        with self._changed:
            while not self._idle and len(self._begun) == _PROCESSES:
                self._changed.wait()
            if not self._idle:
                self._begun.append(Writer(len(self._begun)))
                return self._begun[-1]
            return self._idle.pop()


class Writer:
    """One such process."""

    def __init__(self, number: int) -> None:
        self.number = number
        with ExitStack() as ours, ExitStack() as theirs:
            requests, self._requests = _pipe(theirs, ours)
            self._answers, answers = _pipe(ours, theirs)
            self._contents = os.memfd_create("contents")
            ours.callback(os.close, self._contents)
            given = {"requests": requests, "answers": answers, "contents": self._contents}
            main = _MAIN.format(path=_PATH, **given)
            self._server = Server([sys.executable, "-S", "-E", "-c", main], [*given.values()])
            ours.callback(self._server.stop)
            self._opened = ours.pop_all()  # closed in `close`

    def close(self) -> None:
        """End the process, which has nothing left to do."""
        self._opened.close()

    def write(self, place: Place, files: Sequence[tuple[Content, bytes]]) -> Sequence[Written]:
        """Write new objects. OSError as they have it; CommandError if the process is gone."""
        self._share([data for _, data in files])
        return self._ask(Write(place, [(content, len(data)) for content, data in files]))

    def move(self, place: Place, checksums: Sequence[str]) -> None:
        """Move new objects to the others; errors as above."""
        self._ask(Move(place, checksums))

    def _share(self, contents: Sequence[bytes]) -> None:
        """Put them into the shared memory, one after the other; it grows where it has to."""
        at = 0
        for first in range(0, len(contents), _AT_ONCE):
            some = contents[first : first + _AT_ONCE]
            size = sum(map(len, some))
            if os.pwritev(self._contents, some, at) < size:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            at += size

    def _ask(self, request: Write | Move) -> Sequence[Written]:
        head = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        self._send(SIZE.pack(len(head)) + head)
        (size,) = SIZE.unpack(self._receive(SIZE.size))
        answer: Answer = pickle.loads(self._receive(size))  # noqa: S301 - our own process
        if answer.error is not None:
            raise answer.error
        return answer.written

    def _send(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._requests, left) :]
        except BrokenPipeError:
            raise self._server.failure() from None

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = os.read(self._answers, size - len(data))
            if not piece:
                raise self._server.failure()
            data += piece
        return data


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[int, int]:
    """A pipe's ends, each of which its owner closes."""
    ends = os.pipe()
    for owner, end in zip((reading, writing), ends, strict=True):
        owner.callback(os.close, end)
    return ends
