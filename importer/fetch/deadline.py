"""An HTTP session whose connections end at a deadline, whatever the server sends.

A socket's timeout limits each silence only: a server that sends a byte of a header now and then,
or one `100 Continue` after the other, would never let a request end.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from urllib3 import ProxyManager


class Deadline:
    """A context that shuts down all its connections `seconds` after it was entered."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()

    def watch(self, connection: socket.socket) -> socket.socket:
        # A duplicate, since TLS detaches the descriptor from the socket object.
        copy = socket.socket(fileno=os.dup(connection.fileno()))
        with self._lock:
            self._sockets.append(copy)
            if self.over:
                _shut(copy)
        return connection

    def _end(self) -> None:
        with self._lock:
            self.over = True
            for connection in self._sockets:
                _shut(connection)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the server has closed the connection already
        connection.shutdown(socket.SHUT_RDWR)


def session(deadline: Deadline) -> requests.Session:
    """Return a session that retries nothing, follows no redirect, and ends at the deadline."""
    asking = _HttpSession()
    for scheme in ("https://", "http://"):
        asking.mount(scheme, _Adapter(deadline))
    return asking


class _HttpSession(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Return None: requests reads a redirect's body to its end, even if it must not follow."""
        return None


class _Adapter(HTTPAdapter):
    def __init__(self, deadline: Deadline) -> None:
        self._pools = _pools(deadline)
        super().__init__()

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **more: object
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **more: object) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pool classes by scheme; the deadline ends their connections."""

    class WatchedHTTPConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return deadline.watch(super()._new_conn())

    class WatchedHTTPSConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return deadline.watch(super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = WatchedHTTPConnection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = WatchedHTTPSConnection

    return {"http": PlainPool, "https": SecurePool}
