"""The one door to other programs: an argv list, stderr kept, the status checked."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_log = logging.getLogger(__name__)
_KILLED = "it was killed: if nobody did it, the kernel did for want of memory; see `journalctl -k`"
_live: set[subprocess.Popen[bytes]] = set()
# The signal handler takes it, too, in whatever thread of ours it interrupts.
_live_lock = threading.RLock()


class CommandError(ImporterError):
    """A program ended with an error; `stderr` is all that it said."""

    def __init__(self, argv: Sequence[str], status: int, stderr: str) -> None:
        hint = _KILLED if status == -signal.SIGKILL else ""
        super().__init__(f"{argv[0]} ended with status {status}: {_last_line(stderr)}", hint=hint)
        self.stderr = stderr


def run(argv: Sequence[str]) -> bytes:
    """The program's standard output; CommandError if its status is not 0."""
    with _unnamed_file() as stderr:
        with _started(argv, stderr, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None  # noqa: S101 - asked for in the line above
            output = child.stdout.read()
            status = child.wait()
        if status:
            raise CommandError(argv, status, _text(stderr))
    return output


class Server:
    """A program that runs beside us until it is stopped.

    `environment` is for what the user's own says nothing of.
    """

    def __init__(
        self,
        argv: Sequence[str],
        pass_fds: Sequence[int],
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._argv = argv
        env = {**environment, **os.environ}
        with ExitStack() as opened:
            self._stderr = opened.enter_context(_unnamed_file())
            self._child = opened.enter_context(
                _started(argv, self._stderr, pass_fds=pass_fds, env=env)
            )
            self._opened = opened.pop_all()  # closed in `stop`

    def failure(self) -> CommandError:
        """What it said when it went away."""
        status = self._child.wait()
        return CommandError(self._argv, status, _text(self._stderr))

    def kill(self) -> None:
        """Send it SIGKILL; whoever owns it still has to stop it."""
        self._child.kill()

    def stop(self) -> None:
        """Make it end, and wait for that."""
        self._opened.close()


@contextmanager
def _started(
    argv: Sequence[str],
    stderr: IO[bytes],
    stdout: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The running program; whatever happens, it is gone and reaped afterwards."""
    _log.debug("running %s", shlex.join(map(_masked, argv)))
    try:
        # A group of its own: at Ctrl-C the terminal signals us alone, and we end it.
        with _live_lock:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
                env=env,
                process_group=0,
            )
            _live.add(child)
    except FileNotFoundError:
        raise ImporterError(
            f"{argv[0]} is not installed", hint=f"on Debian and Fedora the package is {argv[0]}"
        ) from None
    except OSError as error:
        raise ImporterError(f"{argv[0]} cannot be started: {error.strerror}") from error
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
        with _live_lock:
            _live.discard(child)


def _masked(argument: str) -> str:
    """What a log may have of it: no password."""
    return "--creds=***" if argument.startswith("--creds=") else argument


def kill_all() -> None:
    """End every program that runs, and let no other begin; for an exit that waits for nothing."""
    _live_lock.acquire()  # for good
    for child in list(_live):
        child.kill()


def _unnamed_file() -> IO[bytes]:
    """In memory, for the little that programs say: a disk may be full, and /tmp with it."""
    return os.fdopen(os.memfd_create("stderr"), "w+b")


def _text(stderr: IO[bytes]) -> str:
    stderr.seek(0, os.SEEK_SET)
    return stderr.read(1 << 20).decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "it said nothing"
