"""Fetch images' documents and blobs by `skopeo experimental-image-proxy`."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from importer.errors import FetchError
from importer.fetch.connection import STOPPED, ProxyAnswer, ProxyConnection, Turn
from importer.fetch.transfer import FinishedTransfer, RawTransfer
from importer.pipe import patient_chunks
from layers.chunks import joined
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE
from layers.oci.manifest import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.fetch.skopeo import Skopeo
    from importer.fetch.transfer import Transfer


# How often, in seconds, to look for blobs that have fallen silent.
_LOOK = 0.25
_RAW_BLOBS = (0, 2, 7)
# An image that is not open after so many seconds is far away: skopeo waits for six to nine round
# trips, for connections, a token and the manifest.
_FAR = 0.2


class Proxy:
    """A proxy that several threads may use; the first request starts its process.

    The protocol is that of containers/skopeo cmd/skopeo/proxy.go, version 0.2.x (since 2025
    podman's common/pkg/json-proxy). A proxy answers one request at a time; several blobs may be on
    their way meanwhile. Once `is_over`, a proxy answers no requests, and only the blobs go on.
    """

    def __init__(self, skopeo: Skopeo, on_far: Callable[[str], None] | None = None) -> None:
        """`on_far` is called with an image that is far away, while the image is being opened."""
        self._skopeo = skopeo
        self._on_far = on_far
        self._connection: ProxyConnection | None = None
        self._images: dict[str, int] = {}
        self._turn = Turn()
        self._transfers: set[FinishedTransfer] = set()
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._look, name="silence", daemon=True)

    @property
    def is_free(self) -> bool:
        """Return whether a request is answered soon: no caller waits for the end of a blob."""
        return not self._turn.is_over and not self._turn.is_blocked

    @property
    def is_over(self) -> bool:
        """Return whether the proxy answers no more requests."""
        return self._turn.is_over

    def has_open(self, source: str) -> bool:
        """Return whether the image is open, so that fetching its blobs needs no OpenImage."""
        return source in self._images

    def open(self, source: str) -> None:
        """Open the image. Raise FetchError if the signature policy rejects it."""
        with self._talking(source):
            pass

    def manifest(self, source: str) -> tuple[Digest, bytes]:
        """Return the manifest for the wanted platform: its digest, and the manifest converted to
        OCI. The bytes have the digest if the manifest was OCI's already."""
        with self._talking(source) as (connection, image):
            answer = connection.ask(source, "GetManifest", image)
            # FinishPipe waits until all is written, and we read meanwhile.
            connection.send("FinishPipe", answer.number)
            (pipe,) = answer.pipes(1)
            data = self._document(source, pipe)
            connection.receive(source)
        return Digest.parse(answer.value), data

    def _document(self, source: str, descriptor: int) -> bytes:
        try:
            pieces = patient_chunks(descriptor, self._skopeo.timeout, source)
            return joined(pieces, MAX_DOCUMENT_SIZE, f"{source}: the manifest")
        except BaseException:
            self._turn.end()  # nobody receives the answer to FinishPipe
            raise
        finally:
            os.close(descriptor)

    def layers(self, source: str) -> tuple[Descriptor, ...]:
        """Return the layers' blobs as the transport stores them, base first.

        Their compression may differ from the manifest's (containers/image, LayerInfosForCopy).
        """
        with self._talking(source) as (connection, image):
            layers = connection.ask(source, "GetLayerInfo", image).value
        return tuple(
            Descriptor(layer["media_type"], Digest.parse(layer["digest"]), layer["size"])
            for layer in layers
        )

    def blob(self, source: str, blob: Descriptor) -> Transfer:
        """Begin to fetch a blob. Raise FetchError, or ImporterError, if the registry refuses."""
        digest = str(blob.digest)
        with self._talking(source) as (connection, image):
            if connection.version >= _RAW_BLOBS:
                data, errors = connection.ask(source, "GetRawBlob", image, digest).pipes(2)
                ended = partial(connection.ended, source)
                return RawTransfer(source, (data, errors), blob.size, self._skopeo.timeout, ended)
            answer = connection.ask(source, "GetBlob", image, digest, blob.size)
            return self._finished_transfer(connection, source, blob.size, answer)

    def _finished_transfer(
        self, connection: ProxyConnection, source: str, size: int, answer: ProxyAnswer
    ) -> Transfer:
        (pipe,) = answer.pipes(1)
        ask = partial(connection.send, "FinishPipe", answer.number)
        wait = partial(connection.receive, source)
        begun = FinishedTransfer(source, pipe, size, self._turn, ask, wait)
        if self._watch.ident is None:
            self._watch.start()
        self._transfers = {transfer for transfer in self._transfers if not transfer.is_over} | {
            begun
        }
        return begun

    def _look(self) -> None:
        """Look for blobs that have fallen silent, in a thread of its own."""
        while not self._closed.wait(_LOOK):
            for transfer in self._transfers:
                transfer.look()

    def close(self) -> None:
        """End the process. Idempotent; no other thread may use the proxy."""
        self._closed.set()
        self._turn.end()
        if self._watch.is_alive():
            self._watch.join()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """Kill the process; another thread may call this. A reader then gets a FetchError."""
        self._closed.set()
        if self._connection is not None:
            self._connection.kill()

    @contextmanager
    def _talking(self, source: str) -> Iterator[tuple[ProxyConnection, int]]:
        """Wait for our turn, and yield the connection and the number of the open image.

        After an error, the next attempt opens the image anew.
        """
        with self._turn.taken():
            try:
                connection = self._started()
                if source not in self._images:
                    with self._timed(source):
                        opened = connection.ask(source, "OpenImage", source)
                    self._images[source] = int(opened.value)
                yield connection, self._images[source]
            except BaseException:
                self._images.pop(source, None)
                if self._connection is None or self._connection.is_broken:
                    self._turn.end()
                raise

    @contextmanager
    def _timed(self, source: str) -> Iterator[None]:
        if self._on_far is None:
            yield
            return
        timer = threading.Timer(_FAR, self._on_far, (source,))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _started(self) -> ProxyConnection:
        if self._connection is None:
            self._connection = ProxyConnection(self._skopeo)
        if self._closed.is_set():
            raise FetchError(STOPPED)
        return self._connection
