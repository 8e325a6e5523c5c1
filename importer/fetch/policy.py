"""The signature policy in force on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from importer.files.replacement import open_regular
from layers.document import MAX_DOCUMENT_SIZE
from layers.oci.signature_policy import accepts_anything

if TYPE_CHECKING:
    from importer.fetch.skopeo import Skopeo
    from layers.oci.reference import Reference

# Paths where skopeo looks, and where newer versions may (container-libs, image/pkg/...). Each file
# that exists has to accept the image, since we do not know which of them this skopeo uses.
_PLACES = ("/etc/containers/policy.json", "/usr/share/containers/policy.json")
_OWN = "containers/policy.json"


def has_to_ask(skopeo: Skopeo, reference: Reference) -> bool:
    """Return whether skopeo has to check the image against the policy.

    An image in the repo may have been imported under another policy, so each import checks again,
    unless the policy in force accepts anything.
    """
    if skopeo.insecure_policy:
        return False
    policies = [raw for raw in map(_read, _places(skopeo)) if raw is not None]
    return not policies or not all(accepts_anything(raw, reference) for raw in policies)


def _places(skopeo: Skopeo) -> list[Path]:
    if skopeo.policy is not None:
        return [Path(skopeo.policy)]
    homes = [Path.home() / ".config", Path(os.environ.get("XDG_CONFIG_HOME") or "/nonexistent")]
    return [home / _OWN for home in homes] + [Path(place) for place in _PLACES]


def _read(path: Path) -> bytes | None:
    """Return the file, None if there is none, or b"" if it cannot be read: skopeo then reports
    why."""
    try:
        with open_regular(path) as file:
            return file.read(MAX_DOCUMENT_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return b""
