"""Credentials of --creds: for one registry alone, and hidden from `ps`."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HINT = "--authfile=FILE, as `skopeo login` writes it, has credentials for each registry"


@dataclass(frozen=True, slots=True)
class Credentials:
    """`text` is USER[:PASSWORD]; `registry` is the only HOST[:PORT] that it is sent to."""

    registry: str
    text: str = field(repr=False)

    @classmethod
    def for_one(cls, text: str | None, registries: Iterable[str]) -> Self | None:
        """Bind the credentials to the registry that the command line names.

        Return None if there are no credentials, or no registry to send them to. Raise
        ImporterError if there are several registries.
        """
        found = sorted(set(registries))
        if text is None or not found:
            return None
        if len(found) > 1:
            raise ImporterError(
                f"--creds is for one registry, and the images are in {len(found)}:"
                f" {', '.join(found)[:300]}",
                hint=_HINT,
            )
        return cls(found[0], text)

    def check(self, registries: Iterable[str]) -> None:
        """Raise ImporterError if images come from another registry."""
        others = sorted(set(registries) - {self.registry})
        if others:
            raise ImporterError(
                f"--creds is for {self.registry}, and the release has images in"
                f" {', '.join(others)[:300]}",
                hint=_HINT,
            )

    @contextmanager
    def authfile(self) -> Iterator[int]:
        """Yield a descriptor of the credentials, in the form of containers-auth.json(5).

        The file lives in memory and has no name, so that it is gone with the last process that
        has it open, even if that is killed.
        """
        user, _, password = self.text.partition(":")
        auth = b64encode(f"{user}:{password}".encode()).decode()
        descriptor = os.memfd_create("auth.json")
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, json.dumps({"auths": {self.registry: {"auth": auth}}}).encode())
            yield descriptor
        finally:
            os.close(descriptor)


def refuse_unnamed(text: str | None, registries: Iterable[str]) -> None:
    """Raise ImporterError if there are credentials, and the command line names no registry."""
    if text is not None and not set(registries):
        raise ImporterError(
            "--creds is for a registry that the command line names, and it names none", hint=_HINT
        )
