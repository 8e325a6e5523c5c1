"""Fetch and verify images' documents and blobs through a pool of skopeo proxies."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

from importer.errors import FetchError
from importer.pipe import patient_chunks
from importer.progress import counted
from layers.chunks import verified
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import LayerError, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.fetch.proxy import Proxy
    from importer.fetch.proxy_pool import ProxyPool
    from importer.fetch.skopeo import Skopeo
    from importer.fetch.transfer import Transfer
    from importer.progress import Advance, Progress
    from layers.chunks import OpenChunks
    from layers.digest import Digest
    from layers.oci.manifest import Descriptor


# An image that is far away is fetched by one skopeo for each two of the blobs that are fetched at
# once. With more of them, images were not fetched faster, or hardly so (docs/performance.md).
_BLOBS_OF_EACH = 2


class Blobs:
    """Fetches blobs and manifests for an import. Leaving the context ends skopeo's processes."""

    def __init__(self, skopeo: Skopeo, progress: Progress, downloads: int = 1) -> None:
        """`downloads`: how many blobs of an image are fetched at once."""
        self.skopeo = skopeo
        self._more = max(1, downloads // _BLOBS_OF_EACH) - 1
        self._proxies: ProxyPool | None = None
        self._is_over = False
        self.progress = progress
        self._lock = threading.Lock()
        self.fetched_bytes = 0

    @property
    def _pool(self) -> ProxyPool:
        """Return the pool; an import that asks nothing does not load it."""
        from importer.fetch.proxy_pool import ProxyPool

        with self._lock:
            if self._proxies is None:
                self._proxies = ProxyPool(self.skopeo, self._more)
                if self._is_over:
                    self._proxies.close()
            return self._proxies

    @property
    def timeout(self) -> float:
        """Return for how many seconds a blob's pipe may be silent."""
        return self.skopeo.timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all proxies. A thread that still reads from one gets a FetchError, never another
        exception."""
        with self._lock:
            self._is_over = True
            pool = self._proxies
        if pool is not None:
            pool.close()

    def platform_digest(self, source: str) -> Digest:
        """Return the digest of the manifest that skopeo chooses from an index."""
        return self._ask(source, lambda proxy: proxy.manifest(source)[0])

    def opened(self, source: str) -> tuple[Digest, bytes]:
        """Open an image, without a retry. Return the manifest as `Proxy.manifest` does."""
        with self._pool.lent(source) as proxy:
            return proxy.manifest(source)

    def manifest(self, source: str) -> bytes:
        """Return the manifest or index of `source`, in its original bytes."""
        return self.retrying(lambda: self.skopeo.inspect_raw(source))

    def check_policy(self, source: str) -> None:
        """Raise FetchError if the signature policy rejects the image."""
        self._ask(source, lambda proxy: proxy.open(source))

    def layers(self, source: str) -> tuple[Descriptor, ...]:
        """Return the layers' blobs as the transport stores them, base first."""
        return self._ask(source, lambda proxy: proxy.layers(source))

    def _ask[T](self, source: str, question: Callable[[Proxy], T]) -> T:
        def attempt() -> T:
            with self._pool.lent(source) as proxy:
                return question(proxy)

        return self.retrying(attempt)

    def read(self, source: str, blob: Descriptor) -> bytes:
        """Return a manifest or config. Raise LayerError if its size exceeds MAX_DOCUMENT_SIZE."""
        if blob.size > MAX_DOCUMENT_SIZE:
            raise LayerError(f"a document of {blob.size} bytes", digest=str(blob.digest))
        return self.retrying(lambda: b"".join(self.stream(source, blob, name="")))

    def stream(self, source: str, blob: Descriptor, *, name: str | None = None) -> OpenChunks:
        """Yield the blob's bytes. The blob is verified once the stream has ended without an error.

        Raise FetchError if the transfer fails, LayerError if digest or size differ; both carry
        the blob's digest.
        """
        with self.pipe(source, blob, name) as (descriptor, advance):
            chunks = patient_chunks(descriptor, self.timeout, source, blob.size)
            yield from verified(counted(chunks, advance), blob.digest, blob.size)

    @contextmanager
    def pipe(
        self, source: str, blob: Descriptor, name: str | None = None
    ) -> Iterator[tuple[int, Advance]]:
        """Yield a pipe with the blob's unverified bytes, and a function to report bytes read.
        Progress calls the blob `name`; without one, by its digest; "" is a document.

        The caller reads as many bytes as `blob` states, and verifies them. On leaving, raise
        FetchError, with the blob's digest, if the transfer failed; this error replaces a LayerError
        that a transfer cut short has caused.
        """
        name = blob.digest.hex[:12] if name is None else name
        with (
            within(digest=str(blob.digest)),
            self._pool.lent(source) as proxy,
            self.progress.blob(name, blob.size) as advance,
            _ended(proxy.blob(source, blob)) as transfer,
        ):
            yield transfer.descriptor, partial(self._advance, transfer, advance)

    def _advance(self, transfer: Transfer, advance: Advance, count: int) -> None:
        transfer.advance(count)
        self.count(count)
        advance(count)

    def retrying[T](self, attempt: Callable[[], T], how: str = "") -> T:
        """Return the result of `attempt`. Retry a FetchError up to --retry-times times; raise any
        other error at once. `how` is added to the message about a retry."""
        for retry in range(self.skopeo.retry_times):
            try:
                return attempt()
            except FetchError as error:
                from random import uniform  # few commands try again

                # Random, so that transfers which failed together do not retry all at once.
                delay = 2**retry * uniform(1, 1.4)  # noqa: S311 - no secret
                if self._pool.closed.is_set():
                    raise
                self.progress.message(f"{error}; trying again in {delay:.0f} s{how}")
                self._pool.closed.wait(delay)
        return attempt()

    def count(self, count: int) -> None:
        """Count bytes that were fetched, by these proxies or elsewhere."""
        with self._lock:
            self.fetched_bytes += count


@contextmanager
def _ended(transfer: Transfer) -> Iterator[Transfer]:
    """Finish the transfer on leaving; abandon the transfer if an error comes before its end."""
    try:
        yield transfer
    except LayerError:
        if transfer.can_finish:
            transfer.finish()
        else:
            transfer.abandon()
        raise
    except BaseException:
        transfer.abandon()
        raise
    else:
        transfer.finish()
