"""MicroShift's release file, assets/release/release-<arch>.json:

    {"release": {"base": "4.20.1"}, "images": {"cli": "quay.io/…@sha256:…", …}}

`images` has a pullspec for each component. MicroShift's rebase.sh writes the file by jq; files
that are written here have the same form.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from layers.document import Document, mapping, parse_document, string
from layers.errors import LayerError
from layers.frozen import frozen
from layers.lists.listed import Listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@frozen
class ReleaseFile:
    """A release file: its whole JSON, with Decimals for numbers, and its pullspecs by component,
    which are not checked yet."""

    document: Document
    pullspecs: Document
    origin: str

    @classmethod
    def parse(cls, raw: bytes, origin: str) -> Self:
        """Parse a release file. Raise LayerError if it is malformed."""
        return cls.of(parse_document(raw, origin, numbers=Decimal), origin)

    @classmethod
    def of(cls, document: Document, origin: str) -> Self:
        """Return the release file with this JSON. Raise LayerError if it is malformed."""
        return cls(document, mapping(document, "images", origin), origin)

    @property
    def base(self) -> str:
        """Return the version of the release, "" if the file has none."""
        return string(mapping(self.document, "release", self.origin, {}), "base", self.origin, "")

    @property
    def components(self) -> dict[str, str]:
        """Return the pullspecs by component. Raise LayerError if one is no text."""
        return {name: string(self.pullspecs, name, self.origin) for name in self.pullspecs}

    @property
    def images(self) -> tuple[Listed, ...]:
        """Return the images in the file's order. Raise LayerError if a pullspec is no text."""
        return tuple(
            Listed(pullspec, f"{self.origin}: {name[:100]}")
            for name, pullspec in self.components.items()
        )

    def pinned(self, references: Mapping[str, str]) -> bytes:
        pullspecs = self.components.items()
        images = {name: references.get(pullspec, pullspec) for name, pullspec in pullspecs}
        return _jq_text(self.document | {"images": images})

    def updated(self, pullspecs: Mapping[str, str], base: str) -> bytes:
        """Return the file with a release's pullspecs for the components that both name, and its
        version as `release.base`. All else stays.

        Raise LayerError if the release has none of the components, or `base` is "".
        """
        images = {name: pullspecs[name] for name in self.pullspecs if name in pullspecs}
        if not images:
            raise LayerError(
                f"{self.origin} names no component of the release",
                hint=f"the release has {', '.join(sorted(pullspecs)[:20])}",
            )
        release = mapping(self.document, "release", self.origin, {})
        news = {
            "images": self.pullspecs | images,
            "release": release | {"base": _checked(base, self.origin)},
        }
        return _jq_text(self.document | news)


def new_release_file(
    names: Sequence[str], pullspecs: Mapping[str, str], base: str, origin: str
) -> bytes:
    """Return a release file with these components, as rebase.sh writes multus' and OLM's.

    Raise LayerError if the release's pullspecs lack one of them, or `base` is "".
    """
    missing = next((name for name in names if name not in pullspecs), None)
    if missing is not None:
        raise LayerError(
            f"{origin}: the release has no component {missing}",
            hint=f"it has {', '.join(sorted(pullspecs)[:20])}",
        )
    images = {name: pullspecs[name] for name in names}
    return _jq_text({"release": {"base": _checked(base, origin)}, "images": images})


def _checked(base: str, origin: str) -> str:
    if not base:
        raise LayerError(f"{origin}: no source says which release this is", hint="name it")
    return base


def _jq_text(document: Document) -> bytes:
    """Return the document as `jq .` writes it: two spaces, keys in their order, no escapes but the
    needed ones.

    A number that is a `Decimal` keeps its digits: since 1.7 jq, too, writes numbers as the
    General Decimal Arithmetic has it. Python's json module writes no Decimal, hence the code here.
    """
    return _text(document, "\n").encode() + b"\n"


def _text(value: Any, newline: str) -> str:
    inner = newline + "  "
    if isinstance(value, dict) and value:
        pairs = (f"{_string(key)}: {_text(member, inner)}" for key, member in value.items())
        return "{" + inner + f",{inner}".join(pairs) + newline + "}"
    if isinstance(value, list) and value:
        members = (_text(member, inner) for member in value)
        return "[" + inner + f",{inner}".join(members) + newline + "]"
    if isinstance(value, str):
        return _string(value)
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
