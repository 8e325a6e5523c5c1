"""Write a command's result as JSON.

The result's method `document` returns the keys. A comment at each key says what it means;
`make docs` collects these comments in docs/reference/json.md.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from layers.digest import Digest
from layers.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping


class Documented(Protocol):
    """A result that has a JSON document."""

    def document(self) -> Mapping[str, object]:
        """Return the keys and values. Values may be dataclasses, digests, paths, and so on."""


def json_text(result: Documented) -> str:
    return json.dumps(result.document(), indent=2, default=_plain)


def _plain(value: object) -> object:
    """Convert a value that JSON has no type for. A dataclass without a method `document` has its
    fields as keys."""
    if hasattr(value, "document"):
        return value.document()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, Digest | Reference):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)
