"""The progress and messages of a running import; `importer.cli.progress_display` shows them."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from layers.chunks import Chunks


class Progress(Protocol):
    """Receives messages and the progress of each blob. Called from several threads."""

    def message(self, text: str) -> None:
        """Show one line of text."""

    def blob(self, name: str, size: int) -> AbstractContextManager[Advance]:
        """Announce a blob of `size` bytes; leaving the context ends it. A document, such as a
        config, has no name."""

    def image(self, name: str, layers: Sequence[str], reused: int) -> None:
        """Announce an image, before the states of its layers.

        `layers` are the names of the layers that the repo lacks, at least one; `reused` counts the
        others.
        """

    def layer(self, name: str, size: int, state: str) -> None:
        """Report that a layer of `size` bytes has a new state.

        The states are waiting, downloading, spooled, unpacking, closing, and at last done or
        failed. `blob` has the same name when the layer is read.
        """


class Advance(Protocol):
    """Receives the number of bytes of a blob that were read since the last call."""

    def __call__(self, count: int, /) -> None: ...


def counted(chunks: Chunks, advance: Advance) -> Chunks:
    """Yield the chunks, and report the bytes of each."""
    for chunk in chunks:
        advance(len(chunk))
        yield chunk


class Silence:
    """Show nothing: --quiet."""

    def message(self, text: str) -> None:
        """See `Progress`."""

    def layer(self, name: str, size: int, state: str) -> None:
        """See `Progress`."""

    def image(self, name: str, layers: Sequence[str], reused: int) -> None:
        """See `Progress`."""

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:  # noqa: ARG002
        """See `Progress`."""
        yield lambda _count: None
