"""Speak to one `skopeo experimental-image-proxy`: JSON messages, blobs through pipes."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager, suppress
from fcntl import fcntl
from typing import TYPE_CHECKING, Any

from importer.errors import FetchError, ImporterError
from importer.fetch.complaint import failure, fetch_error
from importer.pipe import CHUNK, SILENCE, is_readable, patient_chunks
from importer.process import Server
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import LayerError
from layers.oci.manifest import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.fetch.skopeo import Skopeo
    from layers.chunks import Chunks

# A message is no longer than a socket's buffer (unix(7)), which can be larger than skopeo's own
# maxMsgSize: a registry's words are in it.
_MESSAGE_SIZE = 1 << 20

type _Pipe = tuple[int, int]

# A blob at a time keeps one processor busy; Go's threads on several only pass it around.
_ENVIRONMENT = {"GOMAXPROCS": "1"}
_F_SETPIPE_SZ = 1031  # include/uapi/linux/fcntl.h


class Proxy:
    """One `skopeo experimental-image-proxy`: JSON messages, blobs through pipes.

    The protocol is that of containers/skopeo cmd/skopeo/proxy.go, version 0.2.x. A proxy
    answers one request at a time; two blobs at once need two proxies. A proxy is closed for
    good after an error of the protocol, and after a blob that was not read to its end.
    """

    def __init__(self, skopeo: Skopeo) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        ours.settimeout(skopeo.timeout)
        self._timeout = skopeo.timeout
        self._images: dict[str, int] = {}
        self.closed = False
        command = ("experimental-image-proxy", "--sockfd", str(theirs.fileno()))
        with theirs, skopeo.command(*command) as (argv, descriptors):
            self._server = Server(argv, [theirs.fileno(), *descriptors], _ENVIRONMENT)
        version = str(self._call("skopeo", "Initialize")[0])
        if not version.startswith("0.2."):
            self.close()
            raise ImporterError(f"skopeo speaks version {version} of its proxy protocol, not 0.2")

    def manifest(self, source: str) -> tuple[Digest, bytes]:
        """Return the manifest for the wanted platform: its digest, and the manifest converted to
        OCI. The bytes have the digest if the manifest was OCI's already."""
        digest, pipe = self._call_with_file(source, "GetManifest", self._image(source))
        data = bytearray()
        for piece in self._pieces(source, pipe):
            data += piece
            if len(data) > MAX_DOCUMENT_SIZE:
                raise LayerError(f"{source}: the manifest has more than {MAX_DOCUMENT_SIZE} bytes")
        return Digest.parse(digest), bytes(data)

    def platform_digest(self, source: str) -> Digest:
        """Return the digest of the manifest that skopeo chooses for the wanted platform."""
        return self.manifest(source)[0]

    def has_open(self, source: str) -> bool:
        """Return whether the image is open, so that fetching its blobs needs no OpenImage."""
        return source in self._images

    def open(self, source: str) -> None:
        """Open the image. Raise FetchError if the signature policy rejects it."""
        self._image(source)

    def layers(self, source: str) -> tuple[Descriptor, ...]:
        """Return the layers' blobs as the transport stores them, base first.

        Their compression may differ from the manifest's (containers/image, LayerInfosForCopy).
        """
        found, _ = self._call(source, "GetLayerInfo", self._image(source))
        return tuple(
            Descriptor(layer["media_type"], Digest.parse(layer["digest"]), layer["size"])
            for layer in found
        )

    def blob(self, source: str, blob: Descriptor) -> Chunks:
        """Yield the blob's bytes, unverified. Raise FetchError if the transfer fails."""
        return self._pieces(source, self._get_blob(source, blob))

    @contextmanager
    def pipe(self, source: str, blob: Descriptor) -> Iterator[int]:
        """Yield a pipe with the blob's bytes, unverified; any process may read it to its end.

        On leaving, raise FetchError if the transfer failed. It replaces a LayerError that a
        transfer cut short has caused.
        """
        descriptor = self._get_blob(source, blob)
        with self._finishing(source, descriptor) as finish:
            try:
                yield descriptor
            except LayerError:
                if self._has_ended(descriptor):  # with bytes left, the transfer has not failed
                    finish()
                raise
            finish()

    def _has_ended(self, descriptor: int) -> bool:
        return is_readable(descriptor, self._timeout) and not os.read(descriptor, 1)

    def _get_blob(self, source: str, blob: Descriptor) -> int:
        digest, size = str(blob.digest), blob.size
        return self._call_with_file(source, "GetBlob", self._image(source), digest, size)[1]

    def close(self) -> None:
        """End the process. Idempotent."""
        if not self.closed:
            self.closed = True
            self._socket.close()
            self._server.stop()

    def interrupt(self) -> None:
        """Kill the process; another thread may call this. A reader then gets a FetchError."""
        self._server.kill()

    def _image(self, source: str) -> int:
        if source not in self._images:
            value, _ = self._call(source, "OpenImage", source)
            self._images[source] = int(value)
        return self._images[source]

    def _call_with_file(self, source: str, method: str, *args: object) -> tuple[Any, int]:
        """Send a request whose answer has a pipe. Return the answer's value and the descriptor.

        skopeo closes its end of the pipe only in FinishPipe, and FinishPipe blocks skopeo until
        all is written. We send FinishPipe at once and read meanwhile, so that the pipe ends even
        when the registry breaks off. Sent after the last byte, FinishPipe would come too late:
        we would wait for bytes that never come.
        """
        value, pipe = self._call(source, method, *args)
        if pipe is None:
            raise ImporterError(f"skopeo's {method} answered without a pipe")
        number, descriptor = pipe
        self._send("FinishPipe", number)
        with suppress(OSError):  # a larger pipe is faster, and may be denied
            fcntl(descriptor, _F_SETPIPE_SZ, CHUNK)
        return value, descriptor

    def _pieces(self, source: str, descriptor: int) -> Chunks:
        with self._finishing(source, descriptor) as finish:
            yield from patient_chunks(descriptor, self._timeout, source)
            finish()

    @contextmanager
    def _finishing(self, source: str, descriptor: int) -> Iterator[Callable[[], None]]:
        """Yield a function that waits for skopeo's FinishPipe reply. If it is never called, the
        proxy is closed."""
        complete = False

        def finish() -> None:
            nonlocal complete
            self._receive(source)
            complete = True

        try:
            yield finish
        finally:
            os.close(descriptor)
            if not complete:
                self.close()

    def _call(self, source: str, method: str, *args: object) -> tuple[Any, _Pipe | None]:
        try:
            self._send(method, *args)
            return self._receive(source)
        except BaseException:
            self.close()
            raise

    def _send(self, method: str, *args: object) -> None:
        message = json.dumps({"method": method, "args": args}).encode()
        with suppress(BrokenPipeError, TimeoutError):  # `_receive` raises with the reason
            self._socket.send(message)

    def _receive(self, source: str) -> tuple[Any, _Pipe | None]:
        """Return an answer's value, and the pipe's number and descriptor if the answer has one."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._socket, _MESSAGE_SIZE, 1)
        except ConnectionResetError:
            data, descriptors, flags = b"", [], 0
        except TimeoutError:
            said = f"{source}: skopeo has not answered for {self._timeout:g} s"
            raise FetchError(said, hint=SILENCE) from None
        if not data:
            raise failure(source, self._server.failure(self._timeout))
        if flags & socket.MSG_TRUNC:
            raise FetchError(f"{source}: skopeo's answer is longer than {_MESSAGE_SIZE} bytes")
        answer = json.loads(data)
        if not answer["success"]:
            raise fetch_error(source, answer["error"], answer.get("error_code", ""))
        pipe = (answer["pipeid"], descriptors[0]) if descriptors else None
        return answer["value"], pipe
