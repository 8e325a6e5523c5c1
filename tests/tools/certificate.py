"""A self-signed certificate for loopback."""

from dataclasses import dataclass
from pathlib import Path

from tests.tools.process import run


@dataclass(frozen=True)
class Certificate:
    """Key and certificate; `directory` is fit for `--cert-dir`, since it has a `ca.crt`."""

    directory: Path

    @property
    def certificate(self) -> Path:
        """The certificate, which is its own authority."""
        return self.directory / "ca.crt"

    @property
    def key(self) -> Path:
        """The private key. Not `*.key`: containers/image takes that for a client's key."""
        return self.directory / "private.pem"


def self_signed(directory: Path) -> Certificate:
    """Makes a certificate for 127.0.0.1 and localhost."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificate(directory)
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    run([*request.split(), *subject, "-keyout", made.key, "-out", made.certificate])
    return made
