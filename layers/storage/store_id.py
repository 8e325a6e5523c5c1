"""Compute the ids of layers in our stores: containers-storage's own, or private ones.

containers-storage takes two layers of one id for the same layer. An image that is pulled on a
device therefore gets the store's layers as parents, if the store has them under their standard
ids (`layers.storage.layer_id`), and breaks when a later release drops them. Under private ids
the store's layers are parents of no layer: containers-storage finds them by the digests of their
tars and copies them, without a download.
"""

from __future__ import annotations

from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING

from layers.storage.layer_id import child_id, link_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layers.storage.layer_record import LayerRecord


class LayerIds(Enum):
    """The kind of ids that a store's layers have."""

    PRIVATE = "private"
    STANDARD = "standard"


class StoreForm(Enum):
    """How a store shows that a layer deletes files.

    The form is part of a private id: the same id never stands for two different trees.
    """

    QUOTED = "quoted"
    FLATTENED = "flattened"


def private_id(standard_id: str, form: StoreForm) -> str:
    """Return the id of a layer in a store of this form; 64 hex digits, the same for ever."""
    return sha256(f"import-image:{form.value}:{standard_id}".encode()).hexdigest()


def possible_ids(standard_id: str) -> frozenset[str]:
    """Return all ids that a store of ours may have for a layer."""
    return frozenset({standard_id, *(private_id(standard_id, form) for form in StoreForm)})


def possible_links(store_id: str, standard_id: str) -> tuple[str, str]:
    """Return the names that a layer may have under `overlay/l`, the usual one first.

    The usual name depends on the standard id alone: containers know their layers by it, and
    still start when the store changes from standard to private ids. The other one is for a
    store that has the layer under two ids.
    """
    return link_name(standard_id), link_name(f"again:{store_id}")


def standard_ids(layers: Mapping[str, LayerRecord]) -> dict[str, str]:
    """Return the standard id of each layer, by the id that it has in the store.

    It follows from the layer's diffID and its parents'. A layer is left out if the store does
    not know one of these, or if it is its own ancestor.
    """
    found: dict[str, str] = {}
    for layer_id in layers:
        path: list[LayerRecord] = []
        one = layer_id
        while one and one not in found and one in layers and len(path) <= len(layers):
            path.append(layers[one])
            one = layers[one].parent
        for record in reversed(path):
            below = found.get(record.parent)
            if record.diff is None or (record.parent and below is None):
                break
            found[record.id] = child_id(below, record.diff) if below else record.diff.hex
    return found
