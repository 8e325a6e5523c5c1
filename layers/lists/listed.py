"""The images that a file lists, and the file with other references in their places."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from layers.edit import Edit, edited
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

# `${TAG:-1.2}`, as shells, Compose (its specification, interpolation) and templates of Quadlet
# units write it.
_WITH_DEFAULT = re.compile(r"\$\{[A-Za-z_]\w*:?-([^${}]*)\}", re.ASCII)


@frozen
class Listed:
    """An image in a file: `source` as written there, `name` what the file calls it or "".

    `where` is the place in the file, for errors. `always` quotes the setting that makes the engine
    ask the registry at each start, "" if there is none. `unset` is the name of Kubernetes' setting
    if the file does not have it.
    """

    source: str
    where: str
    name: str = ""
    always: str = ""
    unset: str = ""

    @property
    def warning(self) -> str:
        """Return a warning if the image cannot start offline, "" otherwise.

        Kubernetes' API sets Always for the tag `latest`, written or implied, if nothing is set.
        """
        reason = self.always
        if self.unset and self._is_latest:
            reason = f"the tag latest without {self.unset} means Always; write IfNotPresent"
        return reason and (
            f"{self.where}: {self.source[:200]} cannot start offline, since its registry is asked"
            f" at each start: {reason}"
        )

    @property
    def _is_latest(self) -> bool:
        last = self.source.rpartition("/")[2]
        return last.endswith(":latest") or not {":", "@"} & set(last)

    def reference(self, transports: frozenset[str]) -> Reference:
        """Parse the source. Raise LayerError if it is malformed, or of another transport.

        Transports other than a registry's open files, stores and sockets of this machine, which the
        author of the file may not be meant to choose.
        """
        try:
            reference = Reference.parse(self.source)
        except LayerError as error:
            raise LayerError(f"{self.where}: {error.message}", hint=error.hint) from None
        if reference.transport not in transports:
            raise LayerError(
                f"{self.where}: {self.source[:200]!r} is in no registry",
                hint=f"--allow-transports={reference.transport} takes it from a local list of"
                " yours, none does from a URL or standard input",
            )
        return reference


class ListFile(Protocol):
    """A file that lists images."""

    @property
    def images(self) -> tuple[Listed, ...]:
        """Return the images in the file's order."""

    def pinned(self, references: Mapping[str, str]) -> bytes:
        """Return the file with these references in place of the sources that are their keys."""


@frozen
class Span:
    """An image and its place in a text: the characters from `start` up to `end`, `quote`s
    included."""

    image: Listed
    start: int
    end: int
    quote: str = ""

    def edit(self, references: Mapping[str, str]) -> Edit:
        """Return the edit that writes the source's new reference here."""
        text = references[self.image.source]
        return Edit(self.start, self.end, f"{self.quote}{text}{self.quote}")


@frozen
class SpanList:
    """A file whose images are pieces of its text."""

    text: str
    spans: tuple[Span, ...]

    @property
    def images(self) -> tuple[Listed, ...]:
        return tuple(span.image for span in self.spans)

    def pinned(self, references: Mapping[str, str]) -> bytes:
        spans = (span for span in self.spans if span.image.source in references)
        return edited(self.text, [span.edit(references) for span in spans]).encode()


def with_defaults(text: str, where: str) -> str:
    """Return the text with its variables' defaults. Raise LayerError for a variable without a
    default, or with a variable as its default."""
    filled = _WITH_DEFAULT.sub(r"\1", text)
    if "$" in filled:
        raise LayerError(
            f"{where}: {text[:200]!r} has a variable without a default",
            hint="write the value, as `docker compose config` does, or ${NAME:-VALUE}",
        )
    return filled
