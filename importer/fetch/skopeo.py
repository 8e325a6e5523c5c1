"""Call skopeo, which handles transports, credentials and signature policies."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.errors import FetchError
from importer.fetch.complaint import fetch_error
from importer.process import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.fetch.credentials import Credentials


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
            "--tls-verify": None if self.tls_verify is None else str(self.tls_verify).lower(),
        }
        insecure = ["--insecure-policy"] if self.insecure_policy else []
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
            raise fetch_error(source, error.stderr) from None
        except FetchError as error:
            raise FetchError(f"{source}: {error}", hint=error.hint) from None


def _options(values: dict[str, str | None]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value is not None]
