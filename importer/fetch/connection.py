"""A running `skopeo experimental-image-proxy`: the socket to it, and the turns of threads that use
the socket, since skopeo answers one request after the other."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from importer.errors import FetchError, ImporterError
from importer.fetch.complaint import failure, fetch_error
from importer.pipe import SILENCE
from importer.process import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.fetch.skopeo import Skopeo


# A message is no longer than a socket's buffer (unix(7)), which can be larger than skopeo's own
# maxMsgSize: a registry's words are in it.
_MESSAGE_SIZE = 1 << 20
# Seconds from the end of a process's pipes to its own: the kernel closes them first.
_EXIT = 1


class ProxyAnswer(NamedTuple):
    """skopeo's answer: a value, and the number and descriptors of its pipes if it has some."""

    value: Any
    number: int
    descriptors: list[int]

    def pipes(self, count: int) -> list[int]:
        """Return the descriptors. Raise ImporterError if there are not `count` of them."""
        if len(self.descriptors) != count:
            raise ImporterError(f"skopeo answered with {len(self.descriptors)} pipes, not {count}")
        return self.descriptors


class ProxyConnection:
    """Sends requests and receives answers, each as a JSON message; pipes come with an answer
    (unix(7)).

    After `is_broken` there are no more answers. Not for several threads at once.
    """

    def __init__(self, skopeo: Skopeo) -> None:
        """Start skopeo. Raise ImporterError if it is absent, or speaks another protocol."""
        self._skopeo = skopeo
        self._timeout = skopeo.timeout
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(skopeo.timeout)
        self.is_broken = False
        command = ("experimental-image-proxy", "--sockfd", str(theirs.fileno()))
        with theirs, skopeo.command(*command) as (argv, descriptors):
            self._server = Server(argv, [theirs.fileno(), *descriptors])
        try:
            self.version = self._initialize()
        except BaseException:
            self.close()
            raise

    def _initialize(self) -> tuple[int, ...]:
        version = str(self.ask("skopeo", "Initialize").value)
        if not version.startswith("0.2."):
            raise ImporterError(f"skopeo speaks version {version} of its proxy protocol, not 0.2")
        return tuple(map(int, version.partition("-")[0].split(".")))

    def close(self) -> None:
        self._server.stop()
        self._socket.close()

    def kill(self) -> None:
        """Kill the process; any thread may call this. The owner still has to call `close`."""
        self._server.kill()

    def ended(self, source: str) -> ImporterError | None:
        """Return why the process has ended, None if it runs. Any thread may call this."""
        ended = self._server.ended(_EXIT)
        return failure(source, ended) if ended is not None else None

    def ask(self, source: str, method: str, *args: object) -> ProxyAnswer:
        """Send a request, and return its answer. Raise as `receive` does."""
        self.send(method, *args)
        return self.receive(source)

    def send(self, method: str, *args: object) -> None:
        message = json.dumps({"method": method, "args": args}).encode()
        with suppress(BrokenPipeError, TimeoutError):  # `receive` raises with the reason
            self._socket.send(message)

    def receive(self, source: str) -> ProxyAnswer:
        """Return the answer to the last request about `source`.

        Raise FetchError if a retry may help, ImporterError if not.
        """
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._socket, _MESSAGE_SIZE, 2)
        except ConnectionResetError:
            data, descriptors, flags = b"", [], 0
        except TimeoutError:
            self.is_broken = True
            message = f"{source}: skopeo has not answered for {self._timeout:g} s"
            raise FetchError(message, hint=SILENCE) from None
        if not data:
            self.is_broken = True
            raise failure(source, self._server.failure(self._timeout))
        if flags & socket.MSG_TRUNC:
            raise FetchError(f"{source}: skopeo's answer is longer than {_MESSAGE_SIZE} bytes")
        answer = json.loads(data)
        if not answer["success"]:
            error = fetch_error(source, answer["error"], answer.get("error_code", ""))
            raise self._skopeo.advised(error, source)
        return ProxyAnswer(answer["value"], answer["pipeid"], descriptors)


STOPPED = "stopped, since something else failed"


class Turn:
    """The right to talk to a proxy: a lock that any thread may give back, and that can end.

    `is_blocked` says that the holder waits for the end of a blob, which may take long.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self.is_over = False
        self.is_blocked = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn, and hold it. Raise FetchError if the proxy has ended meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over or not self._taken)
            if self.is_over:
                raise FetchError(STOPPED)
            self._taken = True
        try:
            yield
        finally:
            self.give()

    def take_unless_blocked(self) -> bool:
        """Wait for the turn, and take it. Return False if its holder is blocked, or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over or self.is_blocked or not self._taken)
            if self.is_over or self.is_blocked:
                return False
            self._taken = True
            return True

    def take_to_block(self) -> bool:
        """Take the turn if it is free, and mark it as blocked. Return whether it was free."""
        with self._changed:
            if self.is_over or self._taken:
                return False
            self._taken = self.is_blocked = True
            self._changed.notify_all()
            return True

    def give(self) -> None:
        with self._changed:
            self._taken = self.is_blocked = False
            self._changed.notify_all()

    def end(self) -> None:
        """Let no thread have the turn any more. Idempotent."""
        with self._changed:
            self.is_over = True
            self._changed.notify_all()
