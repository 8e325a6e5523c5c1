"""A copy of the store that --to writes, beside the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from layers.frozen import frozen

if TYPE_CHECKING:
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.digest import Digest


@frozen
class CopiedStore:
    """A copy of a store."""

    place: str  # as the command line has it
    unchanged: bool  # whether the place had just this store before
    # the digest of the tar, or of the image's manifest; `null` for a directory
    digest: Digest | None


class StoreCopy(Protocol):
    """Writes a copy of a store to a place outside of the repo."""

    def check(self) -> None:
        """Raise ImporterError if the place is not ours to write to, before images are fetched."""

    def write(self, repo: Repo, store: StoreView, progress: Progress) -> CopiedStore:
        """Write the store. Raise ImporterError if the place cannot have the store."""
