"""Fetch and verify blobs through a pool of skopeo proxies, one proxy for each blob at a time."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

from importer.errors import FetchError
from importer.fetch.proxy import Proxy
from layers.chunks import verified
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import Fault, LayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.fetch.skopeo import Skopeo
    from importer.progress import Advance, Progress
    from layers.chunks import OpenChunks
    from layers.digest import Digest
    from layers.oci.manifest import Descriptor


class Blobs:
    """A pool of proxies: lends each to one reader, and ends all of them on leaving."""

    def __init__(self, skopeo: Skopeo, progress: Progress) -> None:
        self._skopeo = skopeo
        self.progress = progress
        self._lock = threading.Lock()
        self._idle: list[Proxy] = []
        self._lent: set[Proxy] = set()
        self._closed = threading.Event()
        self.fetched_bytes = 0

    @property
    def skopeo(self) -> Skopeo:
        """Return how skopeo is called."""
        return self._skopeo

    @property
    def timeout(self) -> float:
        """Return for how many seconds a blob's pipe may be silent."""
        return self._skopeo.timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all proxies. A thread that still reads from one gets a FetchError, never another
        exception."""
        with self._lock:
            self._closed.set()
            for proxy in self._lent:
                proxy.interrupt()
            for proxy in self._idle:
                proxy.close()
            self._idle.clear()

    def keep(self, count: int) -> None:
        """End all idle proxies except `count`, since each takes memory."""
        with self._lock:
            ended, self._idle = self._idle[count:], self._idle[:count]
        for proxy in ended:
            proxy.close()

    def platform_digest(self, source: str) -> Digest:
        """Return the digest of the manifest that skopeo chooses from an index."""

        def ask() -> Digest:
            with self._proxy(source) as proxy:
                return proxy.platform_digest(source)

        return self.retrying(ask)

    def opened(self, source: str) -> tuple[Digest, bytes]:
        """Open an image once, without a retry. Return what `Proxy.manifest` does."""
        with self._proxy(source) as proxy:
            return proxy.manifest(source)

    def manifest(self, source: str) -> bytes:
        """Return the manifest or index of `source`, in its original bytes."""
        return self.retrying(lambda: self._skopeo.inspect_raw(source))

    def check_policy(self, source: str) -> None:
        """Raise FetchError if the signature policy rejects the image."""

        def ask() -> None:
            with self._proxy(source) as proxy:
                proxy.open(source)

        self.retrying(ask)

    def layers(self, source: str) -> tuple[Descriptor, ...]:
        """Return the layers' blobs as the transport stores them, base first."""

        def ask() -> tuple[Descriptor, ...]:
            with self._proxy(source) as proxy:
                return proxy.layers(source)

        return self.retrying(ask)

    def read(self, source: str, blob: Descriptor) -> bytes:
        """Return a manifest or config. Raise LayerError if its size exceeds MAX_DOCUMENT_SIZE."""
        if blob.size > MAX_DOCUMENT_SIZE:
            raise LayerError(f"a document of {blob.size} bytes", digest=str(blob.digest))
        return self.retrying(lambda: b"".join(self.stream(source, blob)))

    def stream(self, source: str, blob: Descriptor) -> OpenChunks:
        """Yield the blob's bytes. The blob is verified once the stream has ended without an error.

        Raise FetchError if the transfer fails, LayerError if digest or size differ; both carry
        the blob's digest.
        """
        name = blob.digest.hex[:12]
        try:
            with self._proxy(source) as proxy, self.progress.blob(name, blob.size) as advance:
                for chunk in verified(proxy.blob(source, blob), blob.digest, blob.size):
                    self._advance(advance, len(chunk))
                    yield chunk
        except Fault as error:
            raise error.within(digest=str(blob.digest)) from None

    @contextmanager
    def pipe(self, source: str, blob: Descriptor) -> Iterator[tuple[int, Advance]]:
        """Yield a pipe with the blob's unverified bytes, and a function to report bytes read.

        The caller reads the pipe to its end and verifies the bytes. On leaving, raise FetchError,
        with the blob's digest, if the transfer failed.
        """
        try:
            with (
                self._proxy(source) as proxy,
                self.progress.blob(blob.digest.hex[:12], blob.size) as advance,
                proxy.pipe(source, blob) as descriptor,
            ):
                yield descriptor, partial(self._advance, advance)
        except Fault as error:
            raise error.within(digest=str(blob.digest)) from None

    def _advance(self, advance: Advance, count: int) -> None:
        self.count(count)
        advance(count)

    def retrying[T](self, attempt: Callable[[], T]) -> T:
        """Return the result of `attempt`. Retry a FetchError up to --retry-times times; raise any
        other error at once."""
        for retry in range(self._skopeo.retry_times):
            try:
                return attempt()
            except FetchError as error:
                # Random, so that transfers which failed together do not retry all at once.
                delay = 2**retry * random.uniform(1, 1.4)  # noqa: S311 - no secret
                if self._closed.is_set():
                    raise
                self.progress.message(f"{error}; trying again in {delay:.0f} s")
                self._closed.wait(delay)
        return attempt()

    def count(self, count: int) -> None:
        """Count bytes that were fetched, by these proxies or elsewhere."""
        with self._lock:
            self.fetched_bytes += count

    @contextmanager
    def _proxy(self, source: str) -> Iterator[Proxy]:
        """Lend a proxy, preferably one in which the image is open already."""
        with self._lock:
            if self._closed.is_set():
                raise FetchError("stopped, since something else failed")
            self._idle.sort(key=lambda one: one.has_open(source))
            proxy = self._idle.pop() if self._idle else None
        proxy = proxy or Proxy(self._skopeo)
        with self._lock:
            self._lent.add(proxy)
            if self._closed.is_set():
                proxy.interrupt()
        try:
            yield proxy
        finally:
            with self._lock:
                self._lent.discard(proxy)
                if not proxy.closed and not self._closed.is_set():
                    self._idle.append(proxy)
                    proxy = None
            if proxy is not None:
                proxy.close()
