"""A running `skopeo experimental-image-proxy`, and the socket to it. Not for several threads."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from importer.errors import FetchError, ImporterError
from importer.fetch.complaint import failure, fetch_error
from importer.pipe import SILENCE
from importer.process import Server

if TYPE_CHECKING:
    from importer.fetch.skopeo import Skopeo

# A message is no longer than a socket's buffer (unix(7)), which can be larger than skopeo's own
# maxMsgSize: a registry's words are in it.
_MESSAGE_SIZE = 1 << 20
# Seconds from the end of a process's pipes to its own: the kernel closes them first.
_EXIT = 1


class HttpAnswer(NamedTuple):
    """skopeo's answer: a value, and the number and descriptors of its pipes if it has some."""

    value: Any
    number: int
    descriptors: list[int]

    def pipes(self, count: int) -> list[int]:
        """Return the descriptors. Raise ImporterError if there are not `count` of them."""
        if len(self.descriptors) != count:
            raise ImporterError(f"skopeo answered with {len(self.descriptors)} pipes, not {count}")
        return self.descriptors


class HttpConnection:
    """Requests and answers, one JSON message each; pipes come with an answer (unix(7)).

    After `is_broken` there are no more answers.
    """

    def __init__(self, skopeo: Skopeo) -> None:
        """Start skopeo. Raise ImporterError if it is absent, or speaks another protocol."""
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
        """End the process."""
        self._server.stop()
        self._socket.close()

    def kill(self) -> None:
        """Kill the process; any thread may call this. The owner still has to call `close`."""
        self._server.kill()

    def ended(self, source: str) -> ImporterError | None:
        """Return why the process has ended, None if it runs. Any thread may call this."""
        ended = self._server.ended(_EXIT)
        return failure(source, ended) if ended is not None else None

    def ask(self, source: str, method: str, *args: object) -> HttpAnswer:
        """Send a request, and return its answer. Raise as `receive` does."""
        self.send(method, *args)
        return self.receive(source)

    def send(self, method: str, *args: object) -> None:
        """Send a request."""
        message = json.dumps({"method": method, "args": args}).encode()
        with suppress(BrokenPipeError, TimeoutError):  # `receive` raises with the reason
            self._socket.send(message)

    def receive(self, source: str) -> HttpAnswer:
        """Return the answer to the last request about `source`.

        Raise FetchError if a retry may help, ImporterError if not.
        """
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._socket, _MESSAGE_SIZE, 2)
        except ConnectionResetError:
            data, descriptors, flags = b"", [], 0
        except TimeoutError:
            self.is_broken = True
            said = f"{source}: skopeo has not answered for {self._timeout:g} s"
            raise FetchError(said, hint=SILENCE) from None
        if not data:
            self.is_broken = True
            raise failure(source, self._server.failure(self._timeout))
        if flags & socket.MSG_TRUNC:
            raise FetchError(f"{source}: skopeo's answer is longer than {_MESSAGE_SIZE} bytes")
        answer = json.loads(data)
        if not answer["success"]:
            raise fetch_error(source, answer["error"], answer.get("error_code", ""))
        return HttpAnswer(answer["value"], answer["pipeid"], descriptors)
