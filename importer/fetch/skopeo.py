"""skopeo, which knows every transport, credential and policy: manifests and blobs from it."""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import fcntl
from typing import TYPE_CHECKING, Any

from importer.errors import FetchError, ImporterError
from importer.process import CommandError, Server, run
from layers.chunks import drain
from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.manifest import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layers.chunks import Chunks

# A message is no longer than a socket's buffer (unix(7)), which can be larger than skopeo's own
# maxMsgSize: a registry's words are in it.
_MESSAGE_SIZE = 1 << 20
_READ = 1 << 20

type _Pipe = tuple[int, int]

# A blob at a time keeps one processor busy; Go's threads on several only pass it around.
_ENVIRONMENT = {"GOMAXPROCS": "1"}
_F_SETPIPE_SZ = 1031  # include/uapi/linux/fcntl.h
_LOGRUS = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
# Go's strconv.Quote, which JSON does not read: what an image's name or a registry says may be
# anything.
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[01][0-9a-f]{7}|.)", re.DOTALL)
# What asking again does not help against, and what to do instead.
_FINAL = (
    ("server gave HTTP response to HTTPS client", "for a registry without TLS: --tls-verify=false"),
    ("x509:", "give the registry's CA with --cert-dir, or --tls-verify=false"),
    ("unauthorized", "log in with `skopeo login`, or give --authfile or --creds"),
    ("authentication required", "log in with `skopeo login`, or give --authfile or --creds"),
    # The kernel's words, not a registry's; skopeo looks into registries.conf.d below HOME as well.
    (": permission denied", "is it, or the directory that HOME names, this user's?"),
    ("denied", "log in with `skopeo login`, or give --authfile or --creds"),
    ("manifest unknown", "there is no such tag or digest; `skopeo list-tags` lists the tags"),
    ("name unknown", "the registry has no repository of that name"),
    ("blob unknown", "the registry lacks what the manifest names; push the image again"),
    ("corrupted blob", "the registry, or something on the way, changed it; nothing was imported"),
    ("bytes in blob", "the registry, or something on the way, changed it; nothing was imported"),
    ("unsupported manifest MIME type", "an index can list images only, OCI's or docker's alike"),
    ("no such file or directory", "is the path right?"),
    ("is a directory", "is the path right?"),
    ("not a directory", "is the path right?"),
    ("invalid tar header", "is it an archive as `skopeo copy` or `podman save` write it?"),
    ("reading JSON file", "--authfile takes a file as `skopeo login` writes it"),
    ("more than one image in oci", "name one by its tag: oci:DIR:TAG; index.json lists them"),
    (
        "no descriptor found for reference",
        "there is no such tag; the layout's index.json lists them",
    ),
    ("identifier is not an image", "`podman images` lists what the store has"),
    ("does not resolve to an image ID", "`podman images` lists what the store has"),
    ("no image found in", "the index lists other platforms; see --arch, --os and --variant"),
    ("no such host", "the registry's host name does not resolve"),
    ("policy.json", "see containers-policy.json(5), or give --policy or --insecure-policy"),
    ("rejected by policy", "see containers-policy.json(5), or give --policy or --insecure-policy"),
)
_PASSING = (
    # The name server may be what nothing is heard of.
    ("dial tcp: lookup ", "the registry's host name does not resolve"),
    ("connection refused", "nothing listens there; is the registry up?"),
)


@dataclass(frozen=True, slots=True)
class Skopeo:
    """How to call skopeo; the fields are its own options."""

    authfile: str | None = None
    creds: str | None = None
    cert_dir: str | None = None
    tls_verify: bool | None = None
    policy: str | None = None
    insecure_policy: bool = False
    arch: str | None = None
    os: str | None = None
    variant: str | None = None
    retry_times: int = 0

    def argv(self, *command: str) -> list[str]:
        """The command line, with what `command` does not say of itself."""
        everywhere = {
            "--policy": self.policy,
            "--override-arch": self.arch,
            "--override-os": self.os,
            "--override-variant": self.variant,
        }
        access = {
            "--authfile": self.authfile,
            "--creds": self.creds,
            "--cert-dir": self.cert_dir,
            "--tls-verify": None if self.tls_verify is None else str(self.tls_verify).lower(),
        }
        insecure = ["--insecure-policy"] if self.insecure_policy else []
        name, *arguments = command
        return ["skopeo", *insecure, *_options(everywhere), name, *_options(access), *arguments]

    def inspect_raw(self, source: str) -> bytes:
        """The manifest or index of `source`, in its original bytes."""
        try:
            return run(self.argv("inspect", "--raw", "--", source))
        except CommandError as error:
            raise fetch_error(source, error.stderr) from None


def _options(values: dict[str, str | None]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value is not None]


def fetch_error(source: str, said: str) -> ImporterError:
    """skopeo's words as one line, and a hint; a FetchError if asking again may help."""
    reasons: list[str] = _LOGRUS.findall(said)
    message = _ESCAPE.sub(_unescaped, reasons[-1]) if reasons else said
    said = " ".join(message.split())[:1000] or "skopeo said nothing"
    line, signs = f"{source}: {said}", said.replace(source, "")  # whatever the image is called
    hint = _hint(_FINAL, signs)
    return ImporterError(line, hint=hint) if hint else FetchError(line, hint=_hint(_PASSING, signs))


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return " " if code in "abfnrtv" else code  # spaces of whatever kind become one


def _hint(hints: tuple[tuple[str, str], ...], said: str) -> str:
    return next((hint for sign, hint in hints if sign in said), "")


class Proxy:
    """One `skopeo experimental-image-proxy`: JSON messages, blobs through pipes.

    The protocol is that of containers/skopeo cmd/skopeo/proxy.go, version 0.2.x. One
    request at a time; whoever wants two blobs at once takes two proxies. After an error
    of its own, or a blob that was not read to its end, a proxy is closed for good.
    """

    def __init__(self, skopeo: Skopeo) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._images: dict[str, int] = {}
        self.closed = False
        with theirs:
            argv = skopeo.argv("experimental-image-proxy", "--sockfd", str(theirs.fileno()))
            self._server = Server(argv, [theirs.fileno()], _ENVIRONMENT)
        version = str(self._call("skopeo", "Initialize")[0])
        if not version.startswith("0.2."):
            self.close()
            raise ImporterError(f"skopeo speaks version {version} of its proxy protocol, not 0.2")

    def platform_digest(self, source: str) -> Digest:
        """The digest of the manifest that skopeo chooses for the wanted platform."""
        digest, manifest = self._call_with_file(source, "GetManifest", self._image(source))
        # Converted to OCI where it was not; the original has to be asked for.
        drain(self._pieces(source, manifest))
        return Digest.parse(digest)

    def open(self, source: str) -> None:
        """Open the image, which the signature policy has to allow; FetchError if not."""
        self._image(source)

    def layers(self, source: str) -> tuple[Descriptor, ...]:
        """The layers as the transport has them, base first: not always packed as the manifest
        says (containers/image, LayerInfosForCopy)."""
        found, _ = self._call(source, "GetLayerInfo", self._image(source))
        return tuple(
            Descriptor(layer["media_type"], Digest.parse(layer["digest"]), layer["size"])
            for layer in found
        )

    def blob(self, source: str, blob: Descriptor) -> Chunks:
        """The blob's bytes as the transport gives them, unverified; FetchError if it fails."""
        return self._pieces(source, self._get_blob(source, blob))

    @contextmanager
    def pipe(self, source: str, blob: Descriptor) -> Iterator[int]:
        """The same as a pipe to be read to its end, by whatever process.

        FetchError on leaving if it fails, also in place of a LayerError that was the consequence.
        """
        descriptor = self._get_blob(source, blob)
        with self._finishing(source, descriptor) as finish:
            try:
                yield descriptor
            except LayerError:
                if not os.read(descriptor, 1):  # otherwise the rest is not of interest
                    finish()
                raise
            finish()

    def _get_blob(self, source: str, blob: Descriptor) -> int:
        digest, size = str(blob.digest), blob.size
        return self._call_with_file(source, "GetBlob", self._image(source), digest, size)[1]

    def close(self) -> None:
        """End the process; once more does nothing."""
        if not self.closed:
            self.closed = True
            self._socket.close()
            self._server.stop()

    def interrupt(self) -> None:
        """From another thread: whoever reads from this proxy gets a FetchError."""
        self._server.kill()

    def _image(self, source: str) -> int:
        if source not in self._images:
            value, _ = self._call(source, "OpenImage", source)
            self._images[source] = int(value)
        return self._images[source]

    def _call_with_file(self, source: str, method: str, *args: object) -> tuple[Any, int]:
        """A request that is answered with a value and a pipe, the descriptor of which it is.

        skopeo closes its end of the pipe only in FinishPipe, and FinishPipe blocks it until
        all is written. Asked for at once, while we go on reading, the pipe ends as pipes do,
        also where the registry breaks off; asked for after the last byte, it would leave us
        waiting for bytes that never come.
        """
        value, pipe = self._call(source, method, *args)
        if pipe is None:
            raise ImporterError(f"skopeo's {method} answered without a pipe")
        number, descriptor = pipe
        self._send("FinishPipe", number)
        with suppress(OSError):  # a larger pipe is faster, and may be denied
            fcntl(descriptor, _F_SETPIPE_SZ, _READ)
        return value, descriptor

    def _pieces(self, source: str, descriptor: int) -> Chunks:
        with self._finishing(source, descriptor) as finish:
            while chunk := os.read(descriptor, _READ):
                yield chunk
            finish()

    @contextmanager
    def _finishing(self, source: str, descriptor: int) -> Iterator[Callable[[], None]]:
        """A pipe; to be called is what hears from skopeo whether that was all. Without it the
        proxy is of no more use."""
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
        with suppress(BrokenPipeError):  # `_receive` finds that it has gone, and why
            self._socket.send(message)

    def _receive(self, source: str) -> tuple[Any, _Pipe | None]:
        """An answer: its value, and a pipe's number and descriptor if it came with one."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._socket, _MESSAGE_SIZE, 1)
        except ConnectionResetError:
            data, descriptors, flags = b"", [], 0
        if not data:
            raise fetch_error(source, self._server.failure().stderr)
        if flags & socket.MSG_TRUNC:
            raise FetchError(f"{source}: skopeo's answer is longer than {_MESSAGE_SIZE} bytes")
        answer = json.loads(data)
        if not answer["success"]:
            raise fetch_error(source, answer["error"])
        pipe = (answer["pipeid"], descriptors[0]) if descriptors else None
        return answer["value"], pipe
