"""A pool of skopeo proxies: an image is opened in one of them, and its blobs are fetched there."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from importer.errors import FetchError
from importer.fetch.proxy import Proxy
from importer.fetch.turn import STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.fetch.skopeo import Skopeo


class ProxyPool:
    """Lends proxies to threads, and ends all of them on leaving.

    To open an image takes several round trips, in which its proxy does nothing else. So each
    image is opened in a proxy without other users, and once; several users of the image share
    that proxy.
    """

    def __init__(self, skopeo: Skopeo) -> None:
        self._skopeo = skopeo
        self._lock = threading.Lock()
        # By proxy: the sources that its present users were lent it for.
        self._users: dict[Proxy, list[str]] = {}
        self.closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all proxies. A thread that still uses one gets a FetchError."""
        with self._lock:
            self.closed.set()
            for proxy, users in list(self._users.items()):
                if users:
                    proxy.interrupt()
                else:
                    del self._users[proxy]
                    proxy.close()

    @contextmanager
    def lent(self, source: str) -> Iterator[Proxy]:
        """Lend a proxy for this image, the one that has it open if there is one."""
        with self._lock:
            proxy = self._choose(source)
            self._users.setdefault(proxy, []).append(source)
        try:
            yield proxy
        finally:
            self._give_back(proxy, source)

    def _choose(self, source: str) -> Proxy:
        if self.closed.is_set():
            raise FetchError(STOPPED)
        free = [one for one in self._users if one.is_free]
        opened = [one for one in free if one.has_open(source) or source in self._users[one]]
        idle = [one for one in free if not self._users[one]]
        return next(iter(opened or idle), None) or Proxy(self._skopeo)

    def _give_back(self, proxy: Proxy, source: str) -> None:
        with self._lock:
            users = self._users[proxy]
            users.remove(source)
            ended = not users and (proxy.is_over or self.closed.is_set())
            if ended:
                del self._users[proxy]
        if ended:
            proxy.close()
