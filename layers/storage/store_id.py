"""Compute the ids of layers in our stores: containers-storage's own, or private ones.

containers-storage takes two layers of one id for the same layer. An image that is pulled on a
device therefore gets the store's layers as parents, if the store has them under their standard
ids (`layers.storage.layer_id`), and breaks when a later release drops them. Under private ids
the store's layers are parents of no layer: containers-storage finds them by the digests of their
tars and copies them, without a download.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """How a layer in a store deletes files of the layers below.

    QUOTED has a whiteout for each. NONE has no whiteouts: a layer holds each directory in which it
    deletes files with all that the layers below have there, and blocks theirs; if it deletes files
    in the root directory, it is cut, so it holds the layers below as a whole. FLATTENED is a layer
    of a flattened image, which deletes nothing. The form is part of a private id: the same id never
    stands for two different trees.
    """

    QUOTED = "quoted"
    NONE = "none"
    FLATTENED = "flattened"


# The forms' names in ids. A form whose trees change needs another name here.
_NAMES = {
    StoreForm.QUOTED: "quoted",
    StoreForm.NONE: "blocker-layers",
    StoreForm.FLATTENED: "flattened",
}


class Whiteouts(Enum):
    """The value of --whiteouts: the form of all layers in a store that are not flattened."""

    QUOTED = "quoted"
    NONE = "none"

    @property
    def form(self) -> StoreForm:
        """Return the form of a layer."""
        return StoreForm(self.value)


@dataclass(frozen=True, slots=True)
class StoreKind:
    """The properties that all layers of a store share."""

    ids: LayerIds
    whiteouts: Whiteouts = Whiteouts.QUOTED


def private_id(standard_id: str, form: StoreForm) -> str:
    """Return the id of a layer in a store of this form; 64 hex digits, the same for ever."""
    return sha256(f"import-image:{_NAMES[form]}:{standard_id}".encode()).hexdigest()


def possible_ids(standard_id: str) -> frozenset[str]:
    """Return all ids that a store of ours may have for a layer."""
    return frozenset({standard_id, *(private_id(standard_id, form) for form in StoreForm)})


def form_of(store_id: str, standard_id: str) -> StoreForm | None:
    """Return the form that a private id stands for, or None if the id is not private."""
    return next((form for form in StoreForm if private_id(standard_id, form) == store_id), None)


def possible_links(store_id: str, standard_id: str) -> tuple[str, str]:
    """Return the names that a layer may have under `overlay/l`, the usual one first.

    containers-storage up to 1.62 makes containers that know their layers by the usual name. It
    depends on the standard id alone, so that they still start when the store changes from standard
    to private ids. A layer of form NONE has a name of its own: a container that was made over
    whiteouts must not start over another tree. Later versions' containers know ids instead.
    The other name is for a store that has the layer under two ids.
    """
    own = form_of(store_id, standard_id) is StoreForm.NONE
    return link_name(store_id if own else standard_id), link_name(f"again:{store_id}")


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
