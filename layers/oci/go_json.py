"""Check JSON values as Go's encoding/json decodes them into the fields of a struct.

Go's rules: `null` leaves any field as it was; a key matches its field without regard to case;
unknown keys are ignored; a value of another type is an error for the whole document.
Source: Go's encoding/json, `Unmarshal` and decode.go; time.Time's `UnmarshalJSON`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from layers.errors import LayerError, escaped
from layers.frozen import frozen
from layers.moment import parse_time

if TYPE_CHECKING:
    from layers.document import Document

# Go parses the bytes by its own RFC3339 layout: capital T and Z, no leap second.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d?:\d\d:[0-5]\d(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


@frozen
class Scalar:
    """A JSON value that contains no others. `name` describes it to people."""

    name: str
    accepts: Callable[[object], bool]


@frozen
class Many:
    """A JSON array, Go's slice. Each element is of one type, or null."""

    element: GoType
    name = "an array"


@frozen
class Keyed:
    """A JSON object, Go's map. Each value is of one type, or null."""

    value: GoType
    name = "an object"


@frozen
class Struct:
    """A JSON object with fields of different types. Other keys are ignored."""

    fields: Mapping[str, GoType]
    name = "an object"


type GoType = Scalar | Many | Keyed | Struct


def _is_int64(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_time(value: object) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        parse_time(value)
    except LayerError:
        return False
    return True


def _is_bytes(value: object) -> bool:
    """Return whether Go decodes the value as bytes: an array of numbers, or base64, in which Go
    ignores line ends and nothing else."""
    if isinstance(value, list):
        return all(item is None or (_is_int64(item) and 0 <= item < 256) for item in value)
    if not isinstance(value, str):
        return False
    try:
        base64.b64decode(re.sub(r"[\r\n]", "", value).encode(), validate=True)
    except ValueError:
        return False
    return True


STRING = Scalar("a string", lambda value: isinstance(value, str))
INTEGER = Scalar("a whole number of 64 bits", _is_int64)
BOOLEAN = Scalar("true or false", lambda value: isinstance(value, bool))
TIME = Scalar("an RFC 3339 time", _is_time)
BASE64 = Scalar("a base64 string", _is_bytes)
STRINGS = Many(STRING)
# containers/image pkg/strslice: a single string stands for a list of one.
STRING_OR_STRINGS = Scalar(
    "a string or an array of strings",
    lambda value: isinstance(value, str) or _fault(value, STRINGS) is None,
)
TEXTS = Keyed(STRING)
NAMES = Keyed(Struct({}))  # Go's map[string]struct{}: a set of names


def check(document: Document, struct: Struct, what: str) -> None:
    """Raise LayerError, naming the field, if Go could not decode `document` into `struct`."""
    fault = _fault(document, struct)
    if fault is not None:
        place, expected, value = fault
        raise LayerError(f"{what}: {escaped(place)[:200]} is {_shown(value)}, not {expected}")


type _Fault = tuple[str, str, object]  # the field's path, what belongs there, what stands there


def _fault(value: object, go_type: GoType) -> _Fault | None:
    """Return the first value that does not fit its type, or None."""
    if value is None:
        return None
    match go_type:
        case Scalar():
            return None if go_type.accepts(value) else ("", go_type.name, value)
        case Many() if isinstance(value, list):
            parts = [(f"[{n}]", element, go_type.element) for n, element in enumerate(value)]
        case Keyed() if isinstance(value, dict):
            parts = [(f"[{key!r}]", member, go_type.value) for key, member in value.items()]
        case Struct() if isinstance(value, dict):
            parts = _known_fields(value, go_type)
        case _:
            return "", go_type.name, value
    faults = (_within(place, _fault(part, part_type)) for place, part, part_type in parts)
    return next((fault for fault in faults if fault is not None), None)


def _known_fields(value: Document, struct: Struct) -> list[tuple[str, object, GoType]]:
    types = {folded_key(name): go_type for name, go_type in struct.fields.items()}
    return [
        (key, member, types[folded])
        for key, member in value.items()
        if (folded := folded_key(key)) in types
    ]


def _within(place: str, fault: _Fault | None) -> _Fault | None:
    if fault is None:
        return None
    inner, expected, value = fault
    joint = "." if inner and not inner.startswith("[") else ""
    return f"{place}{joint}{inner}", expected, value


def folded_key(key: str) -> str:
    """Return a key as Go compares keys. Two characters beyond ASCII fold into ASCII: U+017F, and
    U+212A, as `lower` does."""
    return key.replace("\u017f", "s").lower()


def _shown(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {str(value)[:40]}"
        case str():
            return f"the string {escaped(value)[:60]!r}"
        case list():
            return "an array"
        case _:
            return "an object"
