"""Call skopeo, which handles transports, credentials, mirrors and signature policies."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Self

from importer.errors import FetchError, ImporterError
from importer.fetch.complaint import LOGIN, failure
from importer.fetch.skopeo_files import login_hint
from importer.files.descriptors import held
from importer.files.replacement import read_file
from importer.process import CommandError, run, run_transfer
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import LayerError
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_INSECURE = "--insecure-policy"


@frozen
class Credentials:
    """Credentials of --creds: for a single registry, and hidden from `ps`.

    `text` is USER[:PASSWORD]; `registry` is the only HOST[:PORT] that they are sent to.
    """

    registry: str
    text: str = field(repr=False)

    @classmethod
    def for_one(cls, text: str | None, registries: Iterable[str]) -> Self | None:
        """Bind the credentials to the registry that the command line names.

        Return None if there are no credentials, or no registry to send them to. Raise
        ImporterError if there are several registries.
        """
        names = sorted(set(registries))
        if text is None or not names:
            return None
        if len(names) > 1:
            raise ImporterError(
                f"--creds is for one registry, and the images are in {len(names)}:"
                f" {', '.join(names)[:300]}",
                hint=_AUTHFILE,
            )
        return cls(names[0], text)

    def check(self, registries: Iterable[str]) -> None:
        """Raise ImporterError if images come from another registry."""
        others = sorted(set(registries) - {self.registry})
        if others:
            raise ImporterError(
                f"--creds is for {self.registry}, and the release has images in"
                f" {', '.join(others)[:300]}",
                hint=_AUTHFILE,
            )

    @contextmanager
    def authfile(self) -> Iterator[int]:
        """Yield a descriptor of the credentials, in the form of containers-auth.json(5).

        The file lives in memory and has no name, so that it is gone with the last process that
        has it open, even if that is killed.
        """
        user, _, password = self.text.partition(":")
        auth = b64encode(f"{user}:{password}".encode()).decode()
        with held(os.memfd_create("auth.json")) as descriptor:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, json.dumps({"auths": {self.registry: {"auth": auth}}}).encode())
            yield descriptor


@frozen
class Skopeo:
    """skopeo's own options, and two of ours.

    `timeout` is how many seconds skopeo may be silent. `keep_signatures` adds each image's
    signatures; see `importer.fetch.signatures`.
    """

    authfile: str | None = None
    creds: Credentials | None = None
    cert_dir: str | None = None
    tls_verify: bool | None = None
    policy: str | None = None
    insecure_policy: bool = False
    arch: str | None = None
    os: str | None = None
    variant: str | None = None
    retry_times: int = 0
    timeout: float = 60
    keep_signatures: bool = False
    registries_conf: str | None = None

    @contextmanager
    def command(self, *command: str) -> Iterator[tuple[list[str], tuple[int, ...]]]:
        """Yield the command line and the descriptors that the program has to inherit."""
        if self.creds is None:
            yield self._argv(self.authfile, *command), ()
            return
        with self.creds.authfile() as descriptor:
            yield self._argv(f"/proc/self/fd/{descriptor}", *command), (descriptor,)

    def _argv(self, authfile: str | None, *command: str) -> list[str]:
        everywhere = {
            "--registries-conf": self.registries_conf,
            "--policy": self.policy,
            "--override-arch": self.arch,
            "--override-os": self.os,
            "--override-variant": self.variant,
        }
        access = {
            "--authfile": authfile,
            "--cert-dir": self.cert_dir,
            # For docker-daemon: alone. skopeo does not read the variable, as docker does.
            "--daemon-host": os.environ.get("DOCKER_HOST") or None,
            "--tls-verify": None if self.tls_verify is None else str(self.tls_verify).lower(),
        }
        insecure = [_INSECURE] if self.insecure_policy else []
        name, *arguments = command
        return ["skopeo", *insecure, *_options(everywhere), name, *_options(access), *arguments]

    def inspect_raw(self, source: str) -> bytes:
        """Return the manifest or index of `source`, in its original bytes.

        Raise FetchError if a retry may help, ImporterError if not.
        """
        command = self.command("inspect", "--raw", "--", source)
        with command as (argv, descriptors), self._failures_of(source):
            return run(argv, pass_fds=descriptors, timeout=self.timeout)

    def copy(self, source: str, to: str, digest_file: Path) -> Digest:
        """Copy an image that import-image has written. Return its manifest's digest at the
        destination.

        Raise FetchError if a retry may help, ImporterError if not. The signature policy does not
        apply, since the image does not come from outside.
        """
        command = self.command(
            "copy", f"--retry-times={self.retry_times}", f"--digestfile={digest_file}", source, to
        )
        with command as (argv, descriptors), self._failures_of(to):
            run_transfer(_to_destination(argv), pass_fds=descriptors, timeout=self.timeout)
        return Digest.parse(digest_file.read_text().strip())

    @contextmanager
    def _failures_of(self, image: str) -> Iterator[None]:
        """Name the image in errors of a skopeo that fails or falls silent."""
        try:
            yield
        except CommandError as error:
            raise self.advised(failure(image, error), image) from None
        except FetchError as error:
            raise FetchError(f"{image}: {error}", hint=error.hint) from None

    def advised(self, error: ImporterError, image: str) -> ImporterError:
        """Return the error, of a refused login with a hint that tells which credentials it got."""
        if error.hint == LOGIN and image.startswith("docker://"):
            registry = image.removeprefix("docker://").partition("/")[0]
            error.hint = login_hint(registry, self.authfile, creds=self.creds is not None)
        return error


def _to_destination(argv: list[str]) -> list[str]:
    """Return the command line of `skopeo copy` whose options on access are for the destination."""
    sided = ("--cert-dir=", "--daemon-host=", "--tls-verify=")
    options = [
        word.replace("--", "--dest-", 1) if word.startswith(sided) else word for word in argv
    ]
    return [options[0], *([] if _INSECURE in options else [_INSECURE]), *options[1:]]


def _options(values: dict[str, str | None]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value is not None]


_AUTHFILE = "--authfile=FILE, as `skopeo login` writes it, has credentials for each registry"


def refuse_unnamed(text: str | None, registries: Iterable[str]) -> None:
    """Raise ImporterError if there are credentials, and the command line names no registry."""
    if text is not None and not set(registries):
        raise ImporterError(
            "--creds is for a registry that the command line names, and it names none",
            hint=_AUTHFILE,
        )


def registries_file(path: Path) -> str:
    """Return the path of a registries.conf for skopeo's --registries-conf.

    Mirror sets are translated into a file in memory, which exists as long as this process. Raise
    ImporterError if the file cannot be read, or has neither format.
    """
    # The YAML library takes a tenth of a short run to load.
    from layers.oci.mirror_sets import registries_conf

    try:
        made = registries_conf(read_file(path, MAX_DOCUMENT_SIZE), str(path))
    except LayerError as error:
        raise ImporterError(str(error), hint=error.hint) from None
    if made is None:
        return str(path)
    descriptor = os.memfd_create("registries.conf")
    os.write(descriptor, made)
    return f"/proc/{os.getpid()}/fd/{descriptor}"
