"""A source of images, of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from importer.commit.plan import Plan
    from importer.commit.target import Target
    from importer.progress import Progress
    from importer.repo.writer import Repo


class Source(Protocol):
    """Finds the images of an import, and plans it."""

    def planned(
        self, target: Target, repo: Repo, progress: Progress
    ) -> AbstractContextManager[Plan]:
        """Find the images and their layers, and yield the plan. On leaving, end what fetches the
        plan's layers. The repo is only read.

        Raise LayerError or ImporterError if an image that is no component of a release cannot be
        found.
        """
