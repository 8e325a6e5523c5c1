"""The address of a Dask cluster, as the command line gives it."""

from __future__ import annotations

import re
from typing import Self

from importer.errors import ImporterError
from layers.frozen import frozen

_LOCAL = re.compile(r"local:([1-9]\d{0,3})")
_SCHEDULER = re.compile(r"(?:tcp|tls)://[^\s/@]+:\d{1,5}")
_HINT = "local:N, or a Dask scheduler's address such as tls://HOST:8786"


@frozen
class Address:
    """A scheduler's address, or `local:N`. `workers` is N, or 0 for a scheduler."""

    text: str
    workers: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the address. Raise ImporterError if it has another form."""
        local = _LOCAL.fullmatch(text)
        if local is not None:
            return cls(text, int(local[1]))
        if _SCHEDULER.fullmatch(text) is None:
            raise ImporterError(f"{text[:200]!r} is no address of a cluster", hint=_HINT)
        return cls(text)

    @property
    def is_exposed(self) -> bool:
        """Return whether others on a network could answer in the scheduler's place."""
        if self.is_encrypted:
            return False
        from ipaddress import ip_address  # most imports name no cluster

        host = self.text.removeprefix("tcp://").rpartition(":")[0].strip("[]")
        try:
            return not ip_address(host).is_loopback
        except ValueError:
            return host != "localhost"

    @property
    def is_encrypted(self) -> bool:
        """Return whether messages to the workers are encrypted, or stay on this machine."""
        return bool(self.workers) or self.text.startswith("tls://")

    def __str__(self) -> str:
        return self.text


@frozen
class Cluster:
    """The cluster that reads the layers.

    `layers` is how many layers are submitted at once; None derives the number from the workers'
    threads. `wait` is how many seconds the cluster may be without a worker. `collect`: each worker
    keeps a layer's files in a repo of its own, from which they are pulled.
    """

    address: Address
    layers: int | None = None
    wait: float = 300
    collect: bool = False
