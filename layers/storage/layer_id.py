"""Compute the ids of layers: containers-storage's standard ones, and private ones of our stores.

An id names a layer on top of a certain chain of layers. containers-storage takes two layers of one
id for the same layer. An image that is pulled on a device therefore gets the store's layers as
parents, if the store has them under their standard ids, and breaks when a later release drops
them. Under private ids the store's layers are parents of no layer: containers-storage finds them by
the digests of their tars and copies them, without a download.
"""

from __future__ import annotations

import base64
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING

from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layers.digest import Digest


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


@frozen
class StoreKind:
    """The properties that all layers of a store share."""

    ids: LayerIds
    whiteouts: Whiteouts = Whiteouts.QUOTED


def layer_ids(diff_ids: Iterable[Digest]) -> tuple[str, ...]:
    """Return the standard id of each layer, base first: 64 hex digits.

    Source: containers/image, storage_dest.go, `layerID`. The OCI chainID is another one: the digest
    of the strings with their algorithm's name.
    """
    ids: list[str] = []
    for diff_id in diff_ids:
        ids.append(child_id(ids[-1], diff_id) if ids else diff_id.hex)
    return tuple(ids)


def child_id(parent: str, diff_id: Digest) -> str:
    """Return the standard id of a layer with this diffID on top of `parent`."""
    return sha256(f"{parent}+{diff_id.hex}".encode()).hexdigest()


def link_name(layer_id: str) -> str:
    """Return the short name under `overlay/l`: 26 characters A-Z2-7, always the same for an id.

    containers-storage draws the name at random (overlay.go, `generateID(idLength)`). It has to be
    short, so that many fit into one mount option, and the same when a store is built again.
    """
    digest = sha256(f"link:{layer_id}".encode()).digest()
    return base64.b32encode(digest)[:26].decode()


def private_id(standard_id: str, form: StoreForm) -> str:
    """Return the id of a layer in a store of this form; 64 hex digits, the same for ever."""
    return sha256(f"import-image:{_NAMES[form]}:{standard_id}".encode()).hexdigest()


def possible_ids(standard_id: str) -> frozenset[str]:
    """Return all ids that a layer may have in a store of ours."""
    return frozenset({standard_id, *(private_id(standard_id, form) for form in StoreForm)})


def form_of(store_id: str, standard_id: str) -> StoreForm | None:
    """Return the form of which `store_id` is the private id, or None if the id is standard."""
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
