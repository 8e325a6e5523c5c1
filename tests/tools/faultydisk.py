"""A program's writes to a directory, or reads from it: which there are, and one of them failing.

The kernel asks us before each of them (tests/tools/supervised.py): no file system has to be made
that fails, and the call that is to fail is chosen exactly.
"""

import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import seccomp

from tests.tools import patience
from tests.tools.syscalls import Call, call_below

# include/uapi/linux/seccomp.h: struct seccomp_notif, struct seccomp_notif_resp.
_ASKED = struct.Struct("QIIiIQ6Q")
_ANSWER = struct.Struct("QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_ARCH = seccomp.Arch()


@dataclass(frozen=True)
class Fault:
    """The error that the call of a kind gets, counted from 0; with `lasts`, each write from then
    on, as on a disk that has died. With `kills` the process that makes the call is killed, with
    `stops` it is stopped and may make the call when it goes on."""

    kind: str
    number: int
    error: int = 0
    lasts: bool = False
    kills: bool = False
    stops: bool = False

    def __str__(self) -> str:
        signalled = "SIGSTOP" if self.stops else "SIGKILL" if self.kills else ""
        what = signalled or errno.errorcode[self.error]
        return f"{what} {self.kind} {self.number}"


class Supervisor:
    """Answers each write below a place, or each read, and notes the call."""

    def __init__(self, place: Path, fault: Fault | None, *, reading: bool) -> None:
        self._reading = reading
        self._place = place
        self._fault = fault
        self._counted: Counter[str] = Counter()
        self.calls: list[Call] = []
        self.failed: list[Call] = []
        self.stopped: list[int] = []

    def serve(self, listener: int, over: Event) -> None:
        """Until all who are supervised have ended."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        while not over.is_set():
            for _, event in poll.poll(1000):
                if not event & select.POLLIN:
                    return
                with suppress(FileNotFoundError):  # the thread got a signal, or was killed
                    self._answer(listener)

    def _answer(self, listener: int) -> None:
        asked = bytearray(_ASKED.size)
        fcntl.ioctl(listener, _RECEIVE, asked)
        number, pid, _, syscall, _, _, *arguments = _ASKED.unpack(asked)
        error = self._decide(pid, syscall, arguments)
        answer = (number, 0, -error, 0) if error else (number, 0, 0, _CONTINUE)
        fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(*answer)))

    def _decide(self, pid: int, syscall: int, arguments: Sequence[int]) -> int:
        """The error that the call gets, or 0."""
        name = os.fsdecode(seccomp.resolve_syscall(_ARCH, syscall))
        call = call_below(self._place, pid, name, arguments, reading=self._reading)
        if call is None:
            return 0
        self.calls.append(call)
        before, self._counted[call.kind] = self._counted[call.kind], self._counted[call.kind] + 1
        fault = self._fault
        if fault is None:
            return 0
        if (call.kind, before) == (fault.kind, fault.number) or (self.failed and fault.lasts):
            self.failed.append(call)
            if fault.stops:
                self.stopped.append(pid)
                os.kill(pid, signal.SIGSTOP)
                return 0
            if fault.kills:
                os.kill(pid, signal.SIGKILL)
            return fault.error or errno.EINTR  # nobody is left to see it
        return 0


@contextmanager
def supervised(
    place: Path, link: Path, fault: Fault | None = None, *, reading: bool = False
) -> Iterator[tuple[Supervisor, list[str]]]:
    """The supervisor of one command, and what is to be put before the command. `link` is a path
    for a socket. With `reading`, the calls are those that read, not those that write."""
    supervisor, over = Supervisor(place, fault, reading=reading), Event()
    calls = "read" if reading else "write"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(link))
        listening.listen(1)
        listening.settimeout(patience.SECONDS)

        def serve() -> None:
            with listening.accept()[0] as peer:
                _, (listener,), _, _ = socket.recv_fds(peer, 1, 1)
            try:
                supervisor.serve(listener, over)
            finally:
                os.close(listener)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield supervisor, [sys.executable, "-m", "tests.tools.supervised", calls, str(link)]
        finally:
            over.set()
            thread.join()
            link.unlink()
