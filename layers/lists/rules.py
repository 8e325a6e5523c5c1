"""What a list may be: how long, and of which images."""

from __future__ import annotations

from dataclasses import dataclass

from layers.document import MAX_TEXT_SIZE
from layers.oci.reference import REGISTRIES


@dataclass(frozen=True, slots=True)
class ListRules:
    """`transports` are those of the images; other than registries' for local lists alone. `size` is
    the most bytes of a list."""

    transports: frozenset[str] = REGISTRIES
    size: int = MAX_TEXT_SIZE
