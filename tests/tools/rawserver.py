"""A server that sends bytes of a test's choice, at a pace of its choice: HTTP or not."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

type Script = Callable[[threading.Event], Iterable[bytes]]

#: Seconds between two pieces that drip.
PACE = 0.05


@dataclass
class RawServer:
    """`url` is where it listens; `asked` are the heads of the requests; `sent` counts bytes."""

    url: str
    asked: list[str] = field(default_factory=list)
    sent: int = 0


@contextmanager
def raw_server(script: Script) -> Iterator[RawServer]:
    """Answers each connection with the pieces of the script, until the client has gone.

    The script gets an event that is set at the end of all, to wait with.
    """
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = RawServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(listening, server, script, over))
        thread.start()
        try:
            yield server
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(
    listening: socket.socket, server: RawServer, script: Script, over: threading.Event
) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            threading.Thread(
                target=_answer, args=(connection, server, script, over), daemon=True
            ).start()


def _answer(
    connection: socket.socket, server: RawServer, script: Script, over: threading.Event
) -> None:
    with connection, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head and (more := connection.recv(1 << 16)):
            head += more
        server.asked.append(head.decode("latin-1"))
        for piece in script(over):
            connection.sendall(piece)
            server.sent += len(piece)
            if over.is_set():
                return


def dripping(head: bytes, drop: bytes) -> Script:
    """The head, and then the drop again and again, slowly, for ever."""

    def script(over: threading.Event) -> Iterable[bytes]:
        yield head
        while not over.wait(PACE):
            yield drop

    return script


def endless(head: bytes, piece: bytes) -> Script:
    """The head, and then the piece again and again, as fast as it is taken."""

    def script(over: threading.Event) -> Iterable[bytes]:
        yield head
        while not over.is_set():
            yield piece

    return script


def once(answer: bytes) -> Script:
    """The answer, and the end."""
    return lambda _over: [answer]
