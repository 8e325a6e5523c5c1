"""Errors of this machine, the registry or the repo; `layers.errors` has those of images."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from layers.errors import Fault, LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class ImporterError(Fault):
    """This machine, the registry or the repo is at fault; the image may be fine."""


class FetchError(ImporterError):
    """Something could not be fetched; trying again may help."""

    usual_hint = "if it fails only now and then, --retry-times=N asks again"


class ClusterError(ImporterError):
    """The cluster that reads the layers is gone, so that no other layer can be read either."""


class Failures(ImporterError):
    """Several errors, by the names of the things that they happened to."""

    def __init__(self, message: str, faults: Mapping[str, Fault], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.faults = faults


@contextmanager
def os_faults(message: str, hint: str = "") -> Iterator[None]:
    """Turn an OSError into an ImporterError of this message and the system's words."""
    try:
        yield
    except OSError as error:
        raise ImporterError(f"{message}: {error.strerror}", hint=hint) from error


@contextmanager
def layer_faults(message: str, hint: str) -> Iterator[None]:
    """Turn a LayerError about a file of this machine into an ImporterError, with the message in
    front."""
    try:
        yield
    except LayerError as error:
        raise ImporterError(f"{message}: {error}", hint=hint) from None
