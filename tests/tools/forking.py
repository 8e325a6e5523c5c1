"""Processes that are forked on request: a message with descriptors asks for one."""

import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from typing import NoReturn

#: Of a message.
MOST_DESCRIPTORS = 4

# --- the server's side ---


def fork_for(client: socket.socket, become: Callable[[Sequence[int]], NoReturn]) -> None:
    """Fork this process for each message of the client, until the client has gone.

    `become` is called in the fork with the descriptors that came with the message.
    """
    running: dict[int, tuple[int, socket.socket]] = {}
    events = select.poll()
    events.register(client, select.POLLIN)
    while True:
        for ready, _ in events.poll():
            if ready != client.fileno():
                events.unregister(ready)
                _report(ready, *running.pop(ready))
            elif not (started := _start(client, running, become)):
                return
            else:
                events.register(started, select.POLLIN)


def _start(
    client: socket.socket,
    running: dict[int, tuple[int, socket.socket]],
    become: Callable[[Sequence[int]], NoReturn],
) -> int:
    """Fork once; return a descriptor that is readable when the fork has ended, or 0."""
    data, numbers, _, _ = socket.recv_fds(client, 1, MOST_DESCRIPTORS)
    if not data:
        return 0
    control, *others = numbers
    if not (pid := os.fork()):
        client.close()
        for pidfd, (_, other) in running.items():
            os.close(pidfd)
            other.close()
        os.close(control)
        become(others)
    for number in others:
        os.close(number)
    answers = socket.socket(fileno=control)
    answers.send(pid.to_bytes(8))
    pidfd = os.pidfd_open(pid)
    running[pidfd] = pid, answers
    return pidfd


def _report(pidfd: int, pid: int, answers: socket.socket) -> None:
    """Tell the client how a command ended."""
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    with answers:
        answers.send(os.waitstatus_to_exitcode(status).to_bytes(8, signed=True))


# --- the client's side ---


class Fork:
    """A fork of the server, with what the tests and our program use of a `subprocess.Popen`."""

    stdout = None

    def __init__(self, server: socket.socket, descriptors: Sequence[int]) -> None:
        self._answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(server, [b"x"], [theirs.fileno(), *descriptors])
        self.pid = int.from_bytes(self._answers.recv(8))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status (-N after signal N), or None while the fork runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raise TimeoutExpired after so many seconds."""
        if self.returncode is None:
            self._answers.settimeout(timeout)
            try:
                answer = self._answers.recv(8)
            except (TimeoutError, BlockingIOError) as error:
                raise subprocess.TimeoutExpired([f"process {self.pid}"], timeout or 0) from error
            assert answer, "the fork server died"
            self.returncode = int.from_bytes(answer, signed=True)
            self._answers.close()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Signal the fork alone, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """End the fork with SIGKILL."""
        self.send_signal(signal.SIGKILL)
