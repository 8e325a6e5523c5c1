"""Proxies for several threads: an image is opened in one proxy, or in a few if it is far away, and
its blobs are fetched there."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.errors import FetchError
from importer.fetch.connection import STOPPED
from importer.fetch.proxy import Proxy
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.fetch.skopeo import Skopeo

_log = logging.getLogger(__name__)


class ProxyPool:
    """Lends proxies to threads.

    To open an image takes several round trips, in which its proxy does nothing else. So each
    image is opened in a proxy without other users, and once; several users of the image share
    that proxy. Nor does a proxy do anything else while it opens a blob, until its first byte comes.
    So an image that is far away is opened in several proxies.
    """

    def __init__(self, skopeo: Skopeo, more: int = 0) -> None:
        """`more`: how many more proxies open an image that is far away."""
        self._skopeo = skopeo
        self._more = more
        self._far: set[str] = set()
        self._opening: set[Proxy] = set()  # of the further ones
        self._changed = threading.Condition()
        # By proxy: the sources that its present users were lent it for.
        self._users: dict[Proxy, list[str]] = {}
        self.closed = threading.Event()

    def close(self) -> None:
        """End all proxies. A thread that still uses one gets a FetchError."""
        with self._changed:
            self.closed.set()
            self._changed.notify_all()
            for proxy, users in list(self._users.items()):
                if users:
                    proxy.interrupt()
                else:
                    del self._users[proxy]
                    proxy.close()

    def _open_in_more(self, source: str) -> None:
        with self._changed:
            if source in self._far:
                return
            self._far.add(source)
            more = [Proxy(self._skopeo) for _ in range(self._more)]
            self._opening.update(more)
        for proxy in more:
            threading.Thread(target=self._open, args=(proxy, source), name="open").start()

    def _open(self, proxy: Proxy, source: str) -> None:
        try:
            with self.lent(source, proxy):
                proxy.open(source)
        except Fault as error:
            _log.debug("not opened by another skopeo: %s", error)
        finally:
            with self._changed:
                self._opening.discard(proxy)
                self._changed.notify_all()

    @contextmanager
    def lent(self, source: str, new: Proxy | None = None) -> Iterator[Proxy]:
        """Lend a proxy for this image: `new`, or if possible one that has the image open, and of
        these the one with the fewest users."""
        with self._changed:
            proxy = new or self._choose(source)
            while proxy in self._opening and not new:
                self._changed.wait()
                proxy = self._choose(source)
            self._users.setdefault(proxy, []).append(source)
        try:
            yield proxy
        finally:
            self._give_back(proxy, source)

    def _choose(self, source: str) -> Proxy:
        if self.closed.is_set():
            raise FetchError(STOPPED)
        free = [proxy for proxy in self._users if proxy.is_free]
        opened = [proxy for proxy in free if proxy.has_open(source) or source in self._users[proxy]]
        idle = [proxy for proxy in free if not self._users[proxy]]
        fewest = min(opened or idle, key=lambda proxy: len(self._users[proxy]), default=None)
        return fewest or Proxy(self._skopeo, self._open_in_more if self._more else None)

    def _give_back(self, proxy: Proxy, source: str) -> None:
        with self._changed:
            users = self._users[proxy]
            users.remove(source)
            ended = not users and (proxy.is_over or self.closed.is_set())
            if ended:
                del self._users[proxy]
            self._changed.notify_all()
        if ended:
            proxy.close()
