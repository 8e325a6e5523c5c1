"""A directory served over HTTP on loopback, and how much of it was fetched."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any


@dataclass
class Meter:
    """What was answered since the last `reset`: bytes and number of bodies, by the files' ends."""

    url: str = ""
    fetched: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes(self) -> int:
        """Of all bodies."""
        return self.fetched.total()

    @property
    def requests(self) -> int:
        """Those that had a body."""
        return self.answers.total()

    def reset(self) -> None:
        """Begin at nothing again."""
        self.fetched.clear()
        self.answers.clear()

    def count(self, path: str, size: int) -> None:
        """A body of `size` bytes goes out."""
        with self.lock:
            kind = path.rpartition(".")[2] if "." in path.rpartition("/")[2] else "other"
            self.fetched[kind] += size
            self.answers[kind] += 1


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, meter: Meter, directory: str) -> None:
        self._meter = meter
        super().__init__(*arguments, directory=directory)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing: a test's output is the test's."""

    # The base class is for any two streams; ours are the file and the socket.
    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:  # type: ignore[override]
        body = source.read()
        # Before it goes out: whoever has got all of it may look at the meter at once.
        self._meter.count(self.path, len(body))
        outputfile.write(body)


@contextmanager
def metered_server(directory: Path) -> Iterator[Meter]:
    """Serves `directory` while the block lasts."""
    meter = Meter()
    handler = partial(_Handler, meter=meter, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        meter.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield meter
        finally:
            server.shutdown()
            thread.join()
