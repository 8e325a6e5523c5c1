"""Serve the files of one layer from a repo of the worker's own, until they are fetched."""

from __future__ import annotations

import hmac
import re
import secrets
import shutil
import tempfile
import threading
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING

from importer.cluster.messages import Parcel
from importer.repo.new_objects import ObjectPlace
from importer.repo.object_file import move_objects
from layers.entry import Owner
from layers.ostree.objects import CommitObject, Stored, commit_bytes, dirmeta, dirtree

if TYPE_CHECKING:
    from collections.abc import Callable

_CONFIG = "[core]\nrepo_version=1\nmode=archive\n"
_SERVED = re.compile(r"config|objects/[0-9a-f]{2}/[0-9a-f]{62}\.(?:filez|dirtree|dirmeta|commit)")
_ROOT = Owner(0o755, 0, 0)
# Seconds that a connection may be idle; seconds between two checks whether the repo can be removed.
_IDLE = 60
_LOOK = 0.5


class Outbox:
    """An archive repo, written without libostree.

    Its only commit has the layer's files in a flat directory, each named by its checksum, so that
    pulling the commit brings all files.
    """

    def __init__(self, directory: str, host: str) -> None:
        """Make the repo below `directory`. `host` is the address to listen at."""
        self._top = Path(tempfile.mkdtemp(prefix="import-image-", dir=directory))
        self._host = host
        self._server: _OutboxServer | None = None
        (self._top / "objects").mkdir()
        (self._top / "tmp").mkdir()
        (self._top / "config").write_text(_CONFIG)

    def place(self) -> ObjectPlace:
        """Make a directory for an attempt to read the layer."""
        directory = tempfile.mkdtemp(dir=self._top / "tmp")
        return ObjectPlace("archive", str(self._top / "objects"), directory, 0)

    def packed(self, directory: str) -> Parcel:
        """Serve the objects of this attempt. Return the URL and the commit to pull."""
        for part in Path(directory).iterdir():
            move_objects(str(self._top / "objects"), str(part))
        files = (self._top / "objects").glob("*/*.filez")
        checksums = [file.parent.name + file.stem for file in files]
        contents = self._write("dirtree", dirtree({name.encode(): name for name in checksums}, {}))
        root = Stored(contents, self._write("dirmeta", dirmeta(_ROOT)))
        commit = self._write("commit", commit_bytes(CommitObject(root)))
        self._server = _OutboxServer(self._host, self._top)
        threading.Thread(target=self._server.serve_forever, name="outbox", daemon=True).start()
        return Parcel(self._server.url, commit)

    def close_once(self, over: Callable[[], bool]) -> None:
        """Go on serving in a thread, and close the outbox as soon as `over` returns true."""
        threading.Thread(target=self._close_once, args=(over,), name="outbox", daemon=True).start()

    def _close_once(self, over: Callable[[], bool]) -> None:
        waiting = threading.Event()
        while not over():
            waiting.wait(_LOOK)
        self.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        shutil.rmtree(self._top, ignore_errors=True)

    def _write(self, kind: str, data: bytes) -> str:
        checksum = sha256(data).hexdigest()
        path = self._top / "objects" / checksum[:2] / f"{checksum[2:]}.{kind}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return checksum


class _OutboxServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, top: Path) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self.top = top
        self.token = secrets.token_urlsafe(24)
        super().__init__((host, 0), _Handler)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.server_address[1]}/{self.token}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    wbufsize = -1  # send head and content in one write: two would wait for a delayed ACK in between
    server: _OutboxServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Log nothing: a layer has thousands of files."""

    def do_GET(self) -> None:
        """Send an object of the repo, or its config."""
        _, token, path = (*self.path.split("/", 2), "", "")[:3]
        may_read = hmac.compare_digest(token.encode(), self.server.token.encode())
        if not may_read or _SERVED.fullmatch(path) is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._send(self.server.top / path)

    def _send(self, path: Path) -> None:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile)
