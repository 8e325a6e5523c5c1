"""Read an image's JSON documents strictly.

Go's decoder, which most container tools use, matches keys without regard to case and lets the last
duplicate win; other decoders do not. A document that two tools could read differently is refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from layers.errors import LayerError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

# containers/image reads at most 4 MiB of manifest and the same of config
# (iolimits.MaxManifestBodySize, MaxConfigBodySize).
MAX_DOCUMENT_SIZE = 4 * 1024 * 1024
# YAML, TOML and plain lists, whose parsers are a hundred times slower than that of JSON.
MAX_TEXT_SIZE = 1 << 20
# A store's lists of layers, images and names: of a hundred thousand images, say.
MAX_RECORDS_SIZE = 64 << 20
# A store's records have a member in 37 bytes. A member takes 100 bytes of memory and more.
_MAX_MEMBERS = MAX_RECORDS_SIZE >> 4
# Go's decoder reads no more (encoding/json scanner.go, `maxNestingDepth`). Python 3.13 reads 9,998
# levels, 3.14 as many as the stack holds: 65,000.
_MAX_DEPTH = 10_000

# Each member of an array or object follows one of these (RFC 8259).
_BEFORE_MEMBERS = (b"[", b"{", b",")
# JSON may write a character beyond U+FFFF as an escaped surrogate pair (RFC 8259, section 7).
_ESCAPED_SURROGATE = rb"\\u[dD][89a-fA-F]"
_SURROGATE = "[\ud800-\udfff]"

type Document = dict[str, Any]


def parse_document(
    raw: bytes,
    what: str,
    limit: int = MAX_DOCUMENT_SIZE,
    numbers: Callable[[str], Any] | None = None,
) -> Document:
    """Return the JSON object in `raw`. Raise LayerError, naming `what`, if it is anything else, or
    longer than `limit` bytes.

    `numbers` converts each number from its text; by default numbers become int and float.
    """
    if len(raw) > limit:
        raise LayerError(f"{what} has {len(raw)} bytes, more than {limit}")
    value = _parsed(raw, what, numbers)
    if not isinstance(value, dict):
        raise LayerError(f"{what} is not a JSON object")
    return cast("Document", value)


def parse_records(raw: bytes, what: str) -> list[Document]:
    """Return the JSON objects of the array in `raw`. Raise LayerError if it is anything else, or
    longer than MAX_RECORDS_SIZE."""
    if len(raw) > MAX_RECORDS_SIZE:
        raise LayerError(f"{what} has {len(raw)} bytes, more than {MAX_RECORDS_SIZE}")
    value = _parsed(raw, what)
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise LayerError(f"{what} is not a JSON array of objects")
    return value


def _parsed(raw: bytes, what: str, numbers: Callable[[str], Any] | None = None) -> Any:
    if sum(map(raw.count, _BEFORE_MEMBERS)) > _MAX_MEMBERS:
        raise LayerError(f"{what} has more than {_MAX_MEMBERS} JSON members")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unambiguous,
            parse_constant=_refuse_constant,
            parse_int=numbers,
            parse_float=numbers,
        )
        if raw.count(b"[") + raw.count(b"{") > _MAX_DEPTH:
            _check_depth(value)
        return _with_whole_characters(value) if re.search(_ESCAPED_SURROGATE, raw) else value
    except LayerError as error:
        raise LayerError(f"{what}: {error.message}") from None
    except RecursionError:
        raise LayerError(f"{what}: its JSON is nested too deep") from None
    except (ValueError, ArithmeticError) as error:
        raise LayerError(f"{what} is not JSON: {first_line(error)}") from None


def _check_depth(value: Any) -> None:
    """Raise RecursionError if more than _MAX_DEPTH arrays and objects lie in one another."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        members = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for many in members for one in many if isinstance(one, (dict, list))]
        if not level:
            return
    raise RecursionError


def _with_whole_characters(value: Any) -> Any:
    """Return the value with U+FFFD in the place of each half of a surrogate pair, as Go and jq read
    one. No encoding has these halves, so that they could be written nowhere."""
    match value:
        case str():
            return re.sub(_SURROGATE, "\ufffd", value)
        case list():
            return [_with_whole_characters(element) for element in value]
        case dict():
            whole = _with_whole_characters
            return _unambiguous([(whole(key), whole(inner)) for key, inner in value.items()])
        case _:
            return value


def _unambiguous(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise LayerError(f"duplicate JSON key {twice[:100]!r}")
    return document


def _refuse_constant(name: str) -> Any:
    raise LayerError(f"{name} is not a JSON number")


def compact_json(value: object) -> bytes:
    """Write JSON without blanks, in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def string(document: Document, key: str, what: str, default: str | None = None) -> str:
    """Return the string under `key`, or the default where it is absent or `null`.

    Raise LayerError if it is something else, or absent without a default.
    """
    if key in document and document[key] is None and default is not None:
        return default
    return cast("str", _typed(document, key, what, str, default))


def integer(document: Document, key: str, what: str) -> int:
    """Return the number under `key`. Raise LayerError if it is not a whole number from 0 to
    2^63-1."""
    value = cast("int", _typed(document, key, what, int, None))
    if isinstance(value, bool) or not 0 <= value < 2**63:
        raise LayerError(f"{what}: {key} is not a size: {str(value)[:40]}")
    return value


def array(document: Document, key: str, what: str, default: list[Any] | None = None) -> list[Any]:
    """Return the array under `key`, or the default where it is absent or `null`, as Go writes an
    empty slice. Raise LayerError if it is anything else."""
    if key in document and document[key] is None and default is not None:
        return default
    return cast("list[Any]", _typed(document, key, what, list, default))


def strings(document: Document, key: str, what: str) -> tuple[str, ...]:
    """Return the strings of the array under `key`, none where it is absent or `null`.

    Raise LayerError if it is no array, or has anything else in it.
    """
    values = array(document, key, what, [])
    if not all(isinstance(value, str) for value in values):
        raise LayerError(f"{what}: {key} is not a list of strings")
    return tuple(values)


def mapping(document: Document, key: str, what: str, default: Document | None = None) -> Document:
    """Return the object under `key`, or the default where it is absent or `null`. Raise LayerError
    if it is anything else."""
    if key in document and document[key] is None and default is not None:
        return default
    return cast("Document", _typed(document, key, what, dict, default))


def _typed(document: Document, key: str, what: str, kind: type, default: object) -> object:
    folded = [k for k in document if k.casefold() == key.casefold() and k != key]
    if folded:
        raise LayerError(f"{what}: key {folded[0][:100]!r} differs from {key!r} by case alone")
    value = document.get(key, default)
    if not isinstance(value, kind):
        absent = "is null" if key in document else "is missing"
        problem = absent if value is None else f"is not of type {kind.__name__}"
        raise LayerError(f"{what}: {key} {problem}")
    return value
