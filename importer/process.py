"""Run other programs; the only module that does. Their stderr is kept, their status checked."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from errno import EACCES
from math import inf
from pathlib import Path
from typing import IO, TYPE_CHECKING

from importer.errors import FetchError, ImporterError, os_faults
from importer.pipe import LEAST_SPEED, SILENCE, patient_chunks, too_slow
from importer.stopped import StopWatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_log = logging.getLogger(__name__)
_KILLED = "it was killed: if nobody did it, the kernel did for want of memory; see `journalctl -k`"
# No registry sends a manifest of more, and no other program that we run writes more.
_MAX_OUTPUT = 64 << 20
# Seconds between two checks of how many bytes a program has moved; fewer than these count as none.
_LOOK = 1.0
_live: set[subprocess.Popen[bytes]] = set()
_watch = StopWatch()
# Reentrant, since the signal handler takes this lock as well, in the thread that it interrupts.
_live_lock = threading.RLock()

# In front of each command line: the kernel kills the program when this process is gone. As that is
# when the thread that started the program ends (prctl(2), PR_SET_PDEATHSIG), one thread, which ends
# with the process, starts all of them.
TIED = ("setpriv", "--pdeathsig", "KILL", "--")
_starter = ThreadPoolExecutor(1, thread_name_prefix="start")


class CommandError(ImporterError):
    """A program ended with an error; `stderr` is all of its output there."""

    def __init__(self, argv: Sequence[str], status: int, stderr: str) -> None:
        hint = _KILLED if status == -signal.SIGKILL else ""
        super().__init__(f"{argv[0]} ended with status {status}: {_last_line(stderr)}", hint=hint)
        self.stderr = stderr


def run(
    argv: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    timeout: float = inf,
    limit: int = _MAX_OUTPUT,
) -> bytes:
    """Run a program to its end; return its standard output.

    Raise CommandError if its status is not 0, FetchError if it neither writes nor ends for
    `timeout` seconds, ImporterError if it writes more than `limit` bytes.
    """
    with _unnamed_file() as stderr:
        with _started(argv, stderr, subprocess.PIPE, pass_fds) as child:
            output = _output(child, argv[0], timeout, limit)
            status = _status(child, argv[0], timeout)
        if status:
            raise CommandError(argv, status, _text(stderr))
    return output


def run_transfer(argv: Sequence[str], *, pass_fds: Sequence[int], timeout: float) -> None:
    """Run a program that moves many bytes and prints none, such as `skopeo copy`.

    Raise CommandError if its status is not 0, FetchError if within `timeout` seconds it reads and
    writes fewer than 1000 bytes a second.
    """
    with _unnamed_file() as stderr:
        with _started(argv, stderr, pass_fds=pass_fds) as child:
            status = _busy(child, argv[0], timeout)
        if status:
            raise CommandError(argv, status, _text(stderr))


def _busy(child: subprocess.Popen[bytes], name: str, timeout: float) -> int:
    """Wait for the program's end as long as it moves bytes. Return its status."""
    moved, since = 0, time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(min(timeout, _LOOK))
        now = _moved(child.pid)
        if now - moved >= LEAST_SPEED * timeout:
            moved, since = now, time.monotonic()
        elif time.monotonic() - since >= timeout:
            raise too_slow(name, now - moved, timeout)


def _moved(pid: int) -> int:
    """Return how many bytes a program has read and written: proc_pid_io(5), files and sockets."""
    try:
        fields = Path(f"/proc/{pid}/io").read_text().split()
    except OSError:
        return 0  # it ends just now, or we may not look
    return int(fields[fields.index("rchar:") + 1]) + int(fields[fields.index("wchar:") + 1])


def _output(child: subprocess.Popen[bytes], name: str, timeout: float, limit: int) -> bytes:
    assert child.stdout is not None  # noqa: S101 - `run` asked for it
    output = bytearray()
    for chunk in patient_chunks(child.stdout.fileno(), timeout, name):
        output += chunk
        if len(output) > limit:
            raise ImporterError(f"{name} wrote more than {limit} bytes")
    return bytes(output)


def _status(child: subprocess.Popen[bytes], name: str, timeout: float) -> int:
    try:
        return child.wait(None if timeout == inf else timeout)
    except subprocess.TimeoutExpired:
        message = f"{name} closed its output, but has not ended for {timeout:g} s"
        raise FetchError(message, hint=SILENCE) from None


class Server:
    """A program that runs beside us until it is stopped."""

    def __init__(self, argv: Sequence[str], pass_fds: Sequence[int]) -> None:
        self._argv = argv
        with ExitStack() as opened:
            self._stderr = opened.enter_context(_unnamed_file())
            self._child = opened.enter_context(_started(argv, self._stderr, pass_fds=pass_fds))
            self._opened = opened.pop_all()  # closed in `stop`

    def failure(self, timeout: float | None = None) -> CommandError:
        """Return what the program said when it ended; kill it if it has not ended by `timeout`
        seconds."""
        ended = self.ended(timeout)
        if ended is None:
            self._child.kill()
        return ended or self.failure()

    def ended(self, timeout: float | None) -> CommandError | None:
        """Return what the program said when it ended, None if it runs on for `timeout` seconds."""
        try:
            status = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        return CommandError(self._argv, status, _text(self._stderr))

    def kill(self) -> None:
        """Send SIGKILL; the owner still has to call `stop`."""
        self._child.kill()

    def stop(self) -> None:
        """End the program and wait for its end."""
        self._opened.close()


@contextmanager
def _started(
    argv: Sequence[str],
    stderr: IO[bytes],
    stdout: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the program. It is ended and reaped when the context ends."""
    from shutil import which  # with `bz2` and `lzma`

    _log.debug("running %s", shlex.join(argv))
    with os_faults(f"{argv[0]} cannot be started"):
        for program, package in ((argv[0], argv[0]), (TIED[0], "util-linux")):
            if which(program) is None:
                if which(program, os.F_OK) is not None:
                    raise PermissionError(EACCES, os.strerror(EACCES))
                hint = f"on Debian and Fedora the package is {package}"
                raise ImporterError(f"{program} is not installed", hint=hint)
        child = _starter.submit(_popen, argv, stderr, stdout, pass_fds).result()
    try:
        yield child
    finally:
        _watch.remove(child.pid)
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
        with _live_lock:
            _live.discard(child)


def _popen(
    argv: Sequence[str], stderr: IO[bytes], stdout: int, pass_fds: Sequence[int]
) -> subprocess.Popen[bytes]:
    # A group of its own: at Ctrl-C the terminal signals us alone, and we end it.
    with _live_lock:
        child = subprocess.Popen(
            [*TIED, *argv],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            process_group=0,
        )
        _live.add(child)
        _watch.add(child.pid, _called(argv[0]))
    return child


def _called(program: str) -> str:
    return "a worker process" if program == sys.executable else program


def kill_all() -> None:
    """End every running program and let no other start, for an immediate exit."""
    _live_lock.acquire()  # for good
    for child in list(_live):
        child.kill()


def _unnamed_file() -> IO[bytes]:
    """Open a file in memory, since the disk may be full; programs write little to stderr."""
    return os.fdopen(os.memfd_create("stderr"), "w+b")


def _text(stderr: IO[bytes]) -> str:
    stderr.seek(0, os.SEEK_SET)
    return stderr.read(1 << 20).decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "it said nothing"
