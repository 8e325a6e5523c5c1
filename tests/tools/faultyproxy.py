"""A proxy in front of a registry that breaks what it is told to break."""

import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self

import requests

PIECE = 1 << 14
#: Of the headers that a proxy must not pass on (RFC 9110, 7.6.1) those that occur here.
HOP = {"connection", "keep-alive", "transfer-encoding"}


Action = Literal["cut", "stall", "drip", "mute"]


@dataclass
class Fault:
    """What happens to answers for paths in which the regular expression `path` is found.

    `cut`: the connection ends after `after` bytes of the body. `stall`: it stops there, and
    `reached` is set; it goes on once `go_on` is. `drip`: from there it sends a byte every tenth of
    a second until then. `mute`: not even the headers are sent. An error status: with `body` for
    the answer.
    `times` is how many answers it spoils; the later ones are whole.
    """

    path: str
    action: Action | int
    after: int = 0
    times: int = 1 << 30
    body: bytes = b""
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


class FaultyProxy:
    """`with FaultyProxy(registry.url) as proxy:` listens on `proxy.host` for as long."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for fault in self.faults:
            fault.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, to put into a reference in place of the registry's."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def through(self, reference: str) -> str:
        """The registry's reference, by way of us."""
        return f"{self.host}/{reference.partition('/')[2]}"

    def add(self, fault: Fault) -> Fault:
        """Spoil these answers, too; the same fault, to wait for."""
        self.faults.append(fault)
        return fault

    def fault(self, path: str) -> Fault | None:
        """The fault for this request; it counts as one of its times."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(_Handler):
            owner = proxy

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is none; the rest would be a defect of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as it came


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyProxy

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing: a test's output is the test's."""

    def do_HEAD(self) -> None:
        self._pass_on()

    def do_GET(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        fault = self.owner.fault(self.path)
        if fault and isinstance(fault.action, int):
            fault.reached.set()
            self.send_response(fault.action)
            self.send_header("Content-Length", str(len(fault.body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(fault.body)
            return
        if fault and fault.action == "mute":
            fault.reached.set()
            fault.go_on.wait()
        names = ("Accept", "Range", "Authorization")
        # skopeo sends `Accept` once for each type.
        headers = {name: ", ".join(self.headers.get_all(name) or []) for name in names}
        with requests.Session() as session:
            session.trust_env = False
            url = self.owner.target + self.path
            answer = session.request(self.command, url, headers=_given(headers), stream=True)
            self._answer(answer, fault)

    def _answer(self, answer: requests.Response, fault: Fault | None) -> None:
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.end_headers()
        try:
            for piece in _pieces(answer, fault):
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            self.close_connection = True  # the other end has gone
        if fault and fault.action == "cut":
            self.close_connection = True


def _given(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value}


def _pieces(answer: requests.Response, fault: Fault | None) -> Iterator[bytes]:
    """The body as it came; as much of it as the fault lets pass."""
    if fault is None:
        yield from answer.raw.stream(PIECE, decode_content=False)
        return
    if fault.action != "mute":
        yield answer.raw.read(fault.after, decode_content=False)
        fault.reached.set()
    if fault.action == "stall":
        fault.go_on.wait()
    while fault.action == "drip" and not fault.go_on.wait(0.1):
        yield answer.raw.read(1, decode_content=False)
    if fault.action != "cut":
        yield from answer.raw.stream(PIECE, decode_content=False)
