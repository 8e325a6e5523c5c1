"""Update a MicroShift release file with the images of a newer release."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from layers.document import Document, mapping, parse_document
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from layers.release.release import Release


def updated(raw: bytes, release: Release, origin: str) -> bytes:
    """Return the file's new bytes. Images that both the file and the release name are replaced; all
    else stays.

    `release.base` becomes the release's version. Raise LayerError if the file is malformed, or the
    release has none of its images.
    """
    document = parse_document(raw, origin, numbers=Decimal)
    images = mapping(document, "images", origin)
    known = [name for name in images if name in release.components]
    if not known:
        raise LayerError(
            f"{origin} names no component of the release",
            hint=f"the release has {', '.join(sorted(release.components)[:20])}",
        )
    images.update({name: release.components[name].pullspec for name in known})
    base = {"base": _base(release, origin)}
    document["release"] = mapping(document, "release", origin, {}) | base
    return jq_text(document)


def named_pullspecs(raw: bytes, origin: str) -> list[tuple[str, str]]:
    """Return the file's images, each a pullspec and a component's name, whatever they are."""
    images = mapping(parse_document(raw, origin), "images", origin)
    return [(one, name) for name, one in images.items() if isinstance(one, str)]


def new_release_file(release: Release, names: Sequence[str], origin: str) -> bytes:
    """Return a release file with these components, as rebase.sh writes multus' and OLM's.

    Raise LayerError if the release lacks one of them, or no source says which release it is.
    """
    missing = next((name for name in names if name not in release.components), None)
    if missing is not None:
        raise LayerError(
            f"{origin}: the release has no component {missing}",
            hint=f"it has {', '.join(sorted(release.components)[:20])}",
        )
    images = {name: release.components[name].pullspec for name in names}
    return jq_text({"release": {"base": _base(release, origin)}, "images": images})


def _base(release: Release, origin: str) -> str:
    base = release.version or release.name
    if not base:
        raise LayerError(f"{origin}: no source says which release this is", hint="name it")
    return base


def jq_text(document: Document) -> bytes:
    """Return the document as `jq .` writes it, as MicroShift's own scripts do: two spaces, keys in
    their order, no escapes but the needed ones.

    A number that is a `Decimal` keeps its digits: since 1.7 jq, too, writes numbers as the
    General Decimal Arithmetic has it. Python's json module writes no Decimal, hence the code here.
    """
    return _text(document, "\n").encode() + b"\n"


def _text(value: Any, newline: str) -> str:
    inner = newline + "  "
    if isinstance(value, dict) and value:
        pairs = (f"{_string(key)}: {_text(one, inner)}" for key, one in value.items())
        return "{" + inner + f",{inner}".join(pairs) + newline + "}"
    if isinstance(value, list) and value:
        return "[" + inner + f",{inner}".join(_text(one, inner) for one in value) + newline + "]"
    if isinstance(value, str):
        return _string(value)
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
