"""Layer ids: which layer, on top of which."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.digest import Digest


def layer_ids(diff_ids: Iterable[Digest]) -> tuple[str, ...]:
    """The containers-storage id of each layer, base first: 64 hex, or the base's own digest.

    As containers/image computes it (storage_dest.go, `layerID`); it is not the OCI
    chainID, which would be the digest of the strings with their algorithm's name.
    """
    ids: list[str] = []
    for diff_id in diff_ids:
        ids.append(child_id(ids[-1], diff_id) if ids else diff_id.hex)
    return tuple(ids)


def child_id(parent: str, diff_id: Digest) -> str:
    """The id of a layer with this diffID on top of `parent`."""
    return hashlib.sha256(f"{parent}+{diff_id.hex}".encode()).hexdigest()


def link_name(layer_id: str) -> str:
    """The short name under `overlay/l`: 26 characters A-Z2-7, the same for an id for ever.

    containers-storage draws it at random (overlay.go, `generateID(idLength)`); it only has
    to be short, so that many fit into one mount option, and a store built anew must not
    differ from the last one.
    """
    digest = hashlib.sha256(f"link:{layer_id}".encode()).digest()
    return base64.b32encode(digest)[:26].decode()
