"""Call skopeo, which handles transports, credentials and signature policies."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.errors import FetchError
from importer.fetch.complaint import failure
from importer.process import CommandError, run, run_transfer
from layers.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.fetch.credentials import Credentials

_INSECURE = "--insecure-policy"


@dataclass(frozen=True, slots=True)
class Skopeo:
    """skopeo's own options, and two of ours.

    `timeout` is for how many seconds skopeo may be silent. `keep_signatures` adds each image's
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
        try:
            with self.command("inspect", "--raw", "--", source) as (argv, descriptors):
                return run(argv, pass_fds=descriptors, timeout=self.timeout)
        except CommandError as error:
            raise failure(source, error) from None
        except FetchError as error:
            raise FetchError(f"{source}: {error}", hint=error.hint) from None

    def copy(self, source: str, to: str, digest_file: Path) -> Digest:
        """Copy an image that import-image has written. Return its manifest's digest at the
        destination.

        Raise FetchError if a retry may help, ImporterError if not. The signature policy does not
        apply, since the image does not come from outside.
        """
        with self.command(
            "copy", f"--retry-times={self.retry_times}", f"--digestfile={digest_file}", source, to
        ) as (argv, descriptors):
            try:
                run_transfer(_to_destination(argv), pass_fds=descriptors, timeout=self.timeout)
            except CommandError as error:
                raise failure(to, error) from None
            except FetchError as error:
                raise FetchError(f"{to}: {error}", hint=error.hint) from None
        return Digest.parse(digest_file.read_text().strip())


def _to_destination(argv: list[str]) -> list[str]:
    """Return the command line of `skopeo copy` whose options on access are for the destination."""
    sided = ("--cert-dir=", "--daemon-host=", "--tls-verify=")
    options = [one.replace("--", "--dest-", 1) if one.startswith(sided) else one for one in argv]
    return [options[0], *([] if _INSECURE in options else [_INSECURE]), *options[1:]]


def _options(values: dict[str, str | None]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value is not None]
