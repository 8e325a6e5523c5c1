"""Find the reference of an image that a store has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.oci.reference import ImageName, Reference

if TYPE_CHECKING:
    from collections.abc import Sequence


def stored_reference(names: Sequence[str], unnamed: str) -> Reference:
    """Return the first of the sorted names that a registry could have, else `unnamed`.

    `unnamed` is a reference as skopeo writes it.
    """
    for name in sorted(names):
        try:
            return Reference.parse(f"docker://{ImageName.parse(name)}")
        except LayerError:
            continue
    return Reference.parse(unnamed)
