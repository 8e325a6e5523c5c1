"""A registry of Debian's package docker-registry, on a free port of loopback."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from tests.tools import patience
from tests.tools.accesslog import Request, parse_requests
from tests.tools.certificate import Certificate, self_signed
from tests.tools.htpasswd import htpasswd
from tests.tools.image import Blob, BuiltImage, BuiltIndex
from tests.tools.lacking import need
from tests.tools.layout import digest_of
from tests.tools.registrystorage import RegistryStorage

#: How many ports to try, each of which somebody else may have taken meanwhile.
PORTS = 5
_NAME = "X-Test-Registry"


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Registry:
    """`with Registry() as registry:` runs one with storage of its own; it is gone afterwards.

    `auth` is (user, password); `tls` makes a self-signed certificate, see `cert_dir`. Without
    `port` it takes a free one.
    """

    def __init__(
        self, *, auth: tuple[str, str] | None = None, tls: bool = False, port: int | None = None
    ) -> None:
        self.auth = auth
        self.tls = tls
        self._wanted_port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._log_position = 0

    # -- life --

    def __enter__(self) -> Self:
        need("docker-registry")
        self._home = Path(tempfile.mkdtemp(prefix="registry-"))
        self._name = uuid.uuid4().hex
        #: The blobs as files, for tests that break them.
        self.storage = RegistryStorage(self._home / "storage")
        self._certificate = self_signed(self._home / "certs") if self.tls else None
        self._session = self._new_session()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the process and removes its storage."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._session.close()
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, the first part of a reference."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL all paths begin with."""
        return f"{'https' if self.tls else 'http'}://{self.host}"

    @property
    def cert_dir(self) -> Path:
        """The directory for `--cert-dir`, where `tls` was asked for."""
        if not self._certificate:
            raise ValueError("this registry has no TLS")
        return self._certificate.directory

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        # No proxy and no ~/.netrc of the machine.
        session.trust_env = False
        session.auth = self.auth
        if self._certificate:
            session.verify = str(self._certificate.certificate)
        return session

    def _start(self) -> None:
        for _ in range(PORTS):
            self.port = self._wanted_port or free_port()
            self._launch()
            if self._answers():
                return
        raise RuntimeError(f"docker-registry does not start:\n{self._log().decode()}")

    def _launch(self) -> None:
        config = self._home / "config.yml"
        # JSON is YAML too.
        config.write_text(json.dumps(self._config(self._certificate)))
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                # It dies with the thread that starts it, even when we are killed.
                ["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # No exporter of traces, no REGISTRY_* of the machine. One thing at a time, so
                # that it has logged what it has answered when it answers the next.
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS": "1"},
            )

    def _config(self, certificate: Certificate | None) -> dict[str, object]:
        headers = {_NAME: [self._name]}
        http: dict[str, object] = {
            "addr": self.host,
            "secret": "of no use elsewhere",
            "headers": headers,
        }
        if certificate:
            http["tls"] = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": False}},
            # Without a cache, or a blob that a test breaks would still be known by its old size.
            "storage": {"filesystem": {"rootdirectory": str(self.storage.root)}},
            "http": http,
        }
        if self.auth:
            (self._home / "htpasswd").write_text(htpasswd(*self.auth))
            path = str(self._home / "htpasswd")
            config["auth"] = {"htpasswd": {"realm": "tests", "path": path}}
        return config

    def _answers(self) -> bool:
        """Whether it does, and no other registry on its port; not if it has ended."""
        deadline = time.monotonic() + patience.SECONDS
        while self._process and self._process.poll() is None:
            try:
                found = self._session.get(f"{self.url}/v2/", timeout=5)
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.02)
            else:
                if found.ok and found.headers.get(_NAME) == self._name:
                    return True
            if time.monotonic() > deadline:
                raise RuntimeError(f"docker-registry does not answer:\n{self._log().decode()}")
        return False

    # -- pushing --

    def push(self, built: BuiltImage | BuiltIndex, name: str) -> str:
        """Uploads all bytes as they are. `name` is NAME:TAG or NAME; returns the reference.

        The reference is `HOST/NAME:TAG`, or `HOST/NAME@DIGEST` where no tag is given.
        """
        repository, _, tag = name.partition(":")
        if isinstance(built, BuiltIndex):
            for image in built.images:
                self._push_image(image, repository, image.digest)
            self.put_manifest(repository, tag or built.digest, built.read(), built.manifest)
        else:
            self._push_image(built, repository, tag or built.digest)
        return f"{self.host}/{name}" if tag else self.by_digest(built, name)

    def by_digest(self, built: BuiltImage | BuiltIndex, name: str) -> str:
        """`HOST/NAME@sha256:...` of an image pushed as `name`."""
        return f"{self.host}/{name.partition(':')[0]}@{built.digest}"

    def _push_image(self, image: BuiltImage, repository: str, reference: str) -> None:
        # The registry refuses a manifest whose blobs it lacks: they go first.
        for blob in {image.config, *image.layers}:
            self.put_blob(repository, image.read(blob))
        self.put_manifest(repository, reference, image.read(image.manifest), image.manifest)

    def put_blob(self, repository: str, data: bytes) -> str:
        """Uploads a blob in one piece; returns its digest."""
        digest = digest_of(data)
        if self._session.head(f"{self.url}/v2/{repository}/blobs/{digest}").ok:
            return digest
        begun = self._session.post(f"{self.url}/v2/{repository}/blobs/uploads/")
        begun.raise_for_status()
        self._put(begun.headers["Location"], data, "application/octet-stream", {"digest": digest})
        return digest

    def put_manifest(self, repository: str, reference: str, data: bytes, blob: Blob) -> None:
        """Uploads a manifest under a tag or a digest, with the media type of `blob`."""
        url = f"{self.url}/v2/{repository}/manifests/{reference}"
        self._put(url, data, blob.media_type, {})

    def _put(self, url: str, data: bytes, media_type: str, params: dict[str, str]) -> None:
        headers = {"Content-Type": media_type}
        answer = self._session.put(url, data=data, params=params, headers=headers)
        if not answer.ok:
            raise RuntimeError(f"PUT {url}: {answer.status_code} {answer.text}")

    # -- what was asked for --

    def requests(self) -> list[Request]:
        """What was answered since the last call of this method or of `blob_requests`."""
        # The log is written after the answer: once a request of our own is there, so are
        # those that were answered before it.
        mark = f"/v2/?mark={uuid.uuid4().hex}"
        self._session.get(self.url + mark)
        deadline = time.monotonic() + patience.SECONDS
        while mark.encode() not in (log := self._log()):
            if time.monotonic() > deadline:
                raise RuntimeError("the access log does not show our own request")
            time.sleep(0.002)
        new, self._log_position = log[self._log_position :], len(log)
        return [one for one in parse_requests(new) if "?mark=" not in one.path]

    def blob_requests(self) -> list[str]:
        """The digests of the blobs downloaded since the last call, in order, each time it was."""
        digests = (request.downloaded_blob() for request in self.requests())
        return [digest for digest in digests if digest]

    def _log(self) -> bytes:
        return (self._home / "log").read_bytes()
