"""A command of ours under way: a fork of the fork server, or a process of the installed script."""

import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from tests.tools import forkserver, patience
from tests.tools.forking import Fork
from tests.tools.home import empty_home

ROOT = Path(__file__).parent.parent.parent
SERVE = "import sys; from tests.tools import forkserver; forkserver.serve(int(sys.argv[1]))"


class Process(Protocol):
    """What the tests use of a `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...
    def communicate(self, *, timeout: float | None = None) -> tuple[bytes, bytes]: ...


class Forked(Fork):
    """A command that the fork server runs; standard output and error are kept."""

    def __init__(self, command: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        directory, umask = str(Path.cwd()), forkserver.own_umask()
        asked = forkserver.Request(command, argv, env, directory, umask)
        out, stdout = os.pipe()
        err, stderr = os.pipe()
        self._pipes = [out, err]
        try:
            with asked.opened() as text:
                super().__init__(_server(), [text.fileno(), stdout, stderr])
        finally:
            os.close(stdout)
            os.close(stderr)

    def communicate(self, *, timeout: float | None = None) -> tuple[bytes, bytes]:
        """What the command writes until its end: standard output and standard error."""
        deadline = None if timeout is None else time.monotonic() + timeout
        found: dict[int, list[bytes]] = {number: [] for number in self._pipes}
        with selectors.DefaultSelector() as events:
            for number in self._pipes:
                events.register(number, selectors.EVENT_READ)
            while events.get_map():
                ready = events.select(_left(deadline))
                if not ready and deadline is not None:
                    raise subprocess.TimeoutExpired([f"process {self.pid}"], timeout or 0)
                for key, _ in ready:
                    if piece := os.read(key.fd, 1 << 16):
                        found[key.fd].append(piece)
                    else:
                        events.unregister(key.fd)
                        os.close(key.fd)
        self.wait(_left(deadline))
        out, err = (b"".join(pieces) for pieces in found.values())
        return out, err


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0)


@cache
def _server() -> socket.socket:
    """The server of this pytest process; the server ends with the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [sys.executable, "-c", SERVE, str(theirs.fileno())],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": empty_home()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours


def start(
    command: str,
    argv: Sequence[str | bytes | os.PathLike[str]],
    env: Mapping[str, str],
    wrapper: Sequence[str] = (),
    *,
    script: bool = False,
) -> Process:
    """Start a command of ours, with PATH and an empty HOME beside this environment.

    A wrapper, such as setpriv, runs the installed script; so does `script`.
    """
    if not wrapper and not script and forkserver.can_run(env):
        env = {"PATH": os.environ["PATH"], "HOME": empty_home(), **env}
        return Forked(command, [os.fsdecode(word) for word in argv], env)
    return subprocess.Popen(
        [*wrapper, Path(sys.executable).with_name(command), *argv],
        env={"PATH": os.environ["PATH"], "HOME": empty_home(), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finished(process: Process, timeout: float = patience.SECONDS) -> tuple[int, str, str]:
    """Wait for a command: exit status, standard output, standard error."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.wait(), out.decode(), err.decode()
