"""The images of a file, and the file again with other references in their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from layers.yaml_text import Edit, edited

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Listed:
    """An image in a file: `source` as written there, `name` what the file calls it or "".

    `where` is the place in the file, for errors.
    """

    source: str
    where: str
    name: str = ""


class ListFile(Protocol):
    """A file that lists images."""

    @property
    def images(self) -> tuple[Listed, ...]:
        """Return the images in the file's order."""

    def pinned(self, references: Mapping[str, str]) -> bytes:
        """Return the file with these references in place of the sources that are their keys."""


@dataclass(frozen=True, slots=True)
class Span:
    """An image and its characters in a text; `quote` is around it there."""

    image: Listed
    start: int
    end: int
    quote: str = ""

    def edit(self, references: Mapping[str, str]) -> Edit:
        """Return the edit that puts another reference here, or the same."""
        text = references.get(self.image.source, self.image.source)
        return Edit(self.start, self.end, f"{self.quote}{text}{self.quote}")


@dataclass(frozen=True, slots=True)
class SpanList:
    """A file whose images are pieces of its text."""

    text: str
    spans: tuple[Span, ...]

    @property
    def images(self) -> tuple[Listed, ...]:
        """Return the images in the file's order."""
        return tuple(span.image for span in self.spans)

    def pinned(self, references: Mapping[str, str]) -> bytes:
        """Return the file with these references in place of the sources that are their keys."""
        return edited(self.text, [span.edit(references) for span in self.spans]).encode()
