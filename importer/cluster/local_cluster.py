"""A scheduler and workers on this machine: `--cluster=local:N`."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from distributed import LocalCluster
from distributed.security import Security

from importer.errors import ImporterError

if TYPE_CHECKING:
    from contextlib import ExitStack

    from importer.cluster.address import Address

LEAVE = 5  # seconds that a client, or workers on this machine, may take to end


def local_cluster(address: Address, opened: ExitStack) -> LocalCluster:
    """Start a scheduler and workers, which talk by TLS. They end when `opened` is closed.

    The certificates are made for this run, so that no other user of this machine can give the
    workers anything to run. Raise ImporterError if the package for certificates is missing.
    """
    try:
        security = _LocalSecurity.temporary()
    except ImportError as error:
        message = f"--cluster={address} needs certificates: {error}"
        raise ImporterError(message, hint="pip install 'import-image[cluster]'") from None
    cluster = LocalCluster(
        n_workers=address.workers,
        threads_per_worker=1,
        host="127.0.0.1",
        protocol="tls://",
        security=security,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )
    opened.callback(cluster.close, timeout=LEAVE)
    return cluster


class _LocalSecurity(Security):  # type: ignore[misc]  # Dask has no types
    """Certificates for connections that may end without TLS's "close notify", as Dask's do.

    OpenSSL 3 would answer such an end with an alert. If the peer is gone, that fails with EPIPE,
    which Python 3.13 leaves in OpenSSL's queue of errors: the next connection of the thread that
    is read, a worker's say, is then closed with this error. Dask's messages have lengths, so that
    a message that is cut short is noticed.
    """

    __slots__ = Security.__slots__  # Dask reads the names of its fields from here

    def get_connection_args(self, role: str) -> dict[str, object]:
        return _without_close_notify(super().get_connection_args(role))

    def get_listen_args(self, role: str) -> dict[str, object]:
        return _without_close_notify(super().get_listen_args(role))


def _without_close_notify(arguments: dict[str, object]) -> dict[str, object]:
    context = arguments["ssl_context"]
    if isinstance(context, ssl.SSLContext):
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    return arguments
