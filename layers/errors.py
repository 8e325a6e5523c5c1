"""The two kinds of fault: the image's, here, and this machine's, in `importer.errors`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fault(Exception):
    """An expected error: one line for the user, and a hint what to do.

    Callers add the digest and the path on the way up: the code that finds a broken header does not
    know the layer.
    """

    usual_hint = ""  # where there is no better one

    def __init__(
        self, message: str, *, hint: str = "", digest: str = "", path: bytes | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.image = ""
        self.digest = digest
        self.path = path

    def within(
        self, *, image: str = "", digest: str = "", path: bytes | None = None, hint: str = ""
    ) -> Self:
        """Return the same error with what it lacks: the image's reference, the digest, path and
        hint. Keep those that it has."""
        self.image = self.image or image
        self.digest = self.digest or digest
        self.hint = self.hint or hint
        if self.path is None:
            self.path = path
        return self

    @property
    def advice(self) -> str:
        """Return the hint, or the usual hint of this kind of fault."""
        return self.hint or self.usual_hint

    def __str__(self) -> str:
        """Return IMAGE: DIGEST: PATH: MESSAGE on one line, with control characters escaped."""
        image = escaped(self.image) if self.image not in self.message else ""
        parts = [part for part in (image, self.digest) if part]
        if self.path is not None:
            parts.append(printable(self.path))
        return ": ".join([*parts, escaped(self.message)])


@contextmanager
def within(
    *, image: str = "", digest: str = "", path: bytes | None = None, hint: str = ""
) -> Iterator[None]:
    """Add what a fault lacks, as `Fault.within`."""
    try:
        yield
    except Fault as fault:
        raise fault.within(image=image, digest=digest, path=path, hint=hint) from None


class LayerError(Fault):
    """The image is wrong: no machine could import it."""

    usual_hint = "the image itself is at fault: it has to be built anew, or in another way"


# The hint where a digest is wrong.
CHANGED = "the registry, or something on the way, changed it; nothing was imported"


def first_line(error: Exception) -> str:
    """Return the first line of another library's error, or its type, cut at 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def printable(path: bytes) -> str:
    """Return a path for people: control characters and stray bytes escaped, cut at 300
    characters."""
    shown = escaped(path.decode("utf-8", "backslashreplace"))
    return shown if len(shown) <= 300 else shown[:297] + "..."


def escaped(text: str) -> str:
    """Return the text on one line, with every character escaped that a terminal could obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
