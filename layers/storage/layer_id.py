"""Layer ids: they name a layer on top of a certain chain of layers."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.digest import Digest


def layer_ids(diff_ids: Iterable[Digest]) -> tuple[str, ...]:
    """Return the containers-storage id of each layer, base first: 64 hex digits.

    As containers/image computes it (storage_dest.go, `layerID`). It is not the OCI chainID, which
    is the digest of the strings with their algorithm's name.
    """
    ids: list[str] = []
    for diff_id in diff_ids:
        ids.append(child_id(ids[-1], diff_id) if ids else diff_id.hex)
    return tuple(ids)


def child_id(parent: str, diff_id: Digest) -> str:
    """Return the id of a layer with this diffID on top of `parent`."""
    return hashlib.sha256(f"{parent}+{diff_id.hex}".encode()).hexdigest()


def link_name(layer_id: str) -> str:
    """Return the short name under `overlay/l`: 26 characters A-Z2-7, always the same for an id.

    containers-storage draws it at random (overlay.go, `generateID(idLength)`). It only has to be
    short, so that many fit into one mount option; and a store that is built again must not change.
    """
    digest = hashlib.sha256(f"link:{layer_id}".encode()).digest()
    return base64.b32encode(digest)[:26].decode()
