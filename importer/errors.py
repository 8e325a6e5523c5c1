"""The other fault; `layers.errors` has the one for images."""

from __future__ import annotations

from layers.errors import Fault


class ImporterError(Fault):
    """This machine, the registry or the repo is wrong; the image may be fine."""


class FetchError(ImporterError):
    """Something could not be fetched; asking again may help."""

    usual_hint = "if it fails only now and then, --retry-times=N asks again"
