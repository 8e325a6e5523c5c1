"""A release controller's HTTP, on loopback, that also fails, stalls and lies."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Reply:
    """An answer. `stall` seconds pass before it, `cut` bytes of it are sent at most, and
    `drip` sends a byte at a time, with so many seconds between them."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    stall: float = 0
    cut: int | None = None
    drip: float = 0


def accepted(name: str, pullspec: str, phase: str = "Accepted") -> Reply:
    """What `.../latest` says of a release."""
    answer = {"name": name, "phase": phase, "pullSpec": pullspec, "downloadURL": "https://x/"}
    return Reply(json.dumps(answer).encode())


class Controller:
    """`with Controller() as controller:` serves `replies`, each path's in turn, the last for
    ever; other paths are 404. `requests` are the paths that were asked for."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.requests: list[str] = []
        self._over = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def template(self) -> str:
        """For `--controller`."""
        return self.url + "/{arch}/api/v1/releasestream/{stream}{suffix}/latest"

    def serve(self, path: str, *replies: Reply) -> str:
        """Answers a path so from now on; returns its URL."""
        self.replies[path] = list(replies)
        return self.url + path

    def stream(self, name: str, arch: str, *replies: Reply) -> None:
        """Answers for a stream, where `template` looks for it."""
        self.serve(f"/{arch}/api/v1/releasestream/{name}/latest", *replies)

    def next_reply(self, path: str) -> Reply:
        """The reply that is due, noted."""
        with self._lock:
            self.requests.append(path)
            replies = self.replies.get(path, [Reply(b"no such stream", 404)])
            return replies.pop(0) if len(replies) > 1 else replies[0]

    def sleep(self, seconds: float) -> None:
        """So long, or until the end of all."""
        self._over.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that goes away is what some tests want."""


def _handler(controller: Controller) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            reply = controller.next_reply(self.path)
            controller.sleep(reply.stall)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            body = reply.body if reply.cut is None else reply.body[: reply.cut]
            try:
                step = 1 if reply.drip else len(body) or 1
                for at in range(0, len(body), step):
                    self.wfile.write(body[at : at + step])
                    self.wfile.flush()
                    controller.sleep(reply.drip)
            except OSError:
                pass  # who asked has gone, as some tests want it
            if reply.cut is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Nothing: a test's output is the test's."""

    return Handler
