"""Adapt skopeo's options to workers on other machines."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from importer.cluster.address import Address
    from importer.fetch.skopeo import Skopeo


def for_workers(skopeo: Skopeo, address: Address) -> Skopeo:
    """Return the options with absolute paths: each worker has these files, at the same paths.

    Raise ImporterError if credentials would cross the network unencrypted, or if the mirrors are
    in a file that only this process has.
    """
    if skopeo.creds is not None and not address.is_encrypted:
        raise ImporterError(
            f"--creds would go to the workers of {address} unencrypted",
            hint="use tls://, or --authfile with a file that each worker has at the same path",
        )
    conf = skopeo.registries_conf
    if conf is not None and conf.startswith("/proc/") and not address.workers:
        raise ImporterError(
            "--registries-conf names mirror sets, which the workers' skopeo cannot read",
            hint="give a containers-registries.conf(5) that each worker has at the same path",
        )
    return replace(
        skopeo,
        authfile=_absolute(skopeo.authfile),
        cert_dir=_absolute(skopeo.cert_dir),
        policy=_absolute(skopeo.policy),
        registries_conf=_absolute(conf),
    )


def _absolute(path: str | None) -> str | None:
    return os.path.abspath(path) if path is not None else None  # noqa: PTH100 - as others have it
