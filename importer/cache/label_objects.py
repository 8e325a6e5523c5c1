"""Write objects again with an SELinux label, some hundred at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from importer.repo.labels import labelled_owner
from importer.repo.staging import WHOLE
from importer.repo.writer import Repo

if TYPE_CHECKING:
    from importer.progress import Advance
    from importer.workers.job import Store


@dataclass(frozen=True, slots=True)
class LabelObjects:
    """An `importer.workers.job.Job`: files and symlinks of the repo by their checksums.

    The result is the checksum of each labelled object, in order.
    """

    repo: Path
    label: str
    checksums: tuple[str, ...]

    def read(self, store: Store, source: int, advance: Advance) -> tuple[str, ...]:  # noqa: ARG002
        """See `Job`. Raise ImporterError for an object that cannot be read."""
        repo = Repo.open(self.repo)
        return tuple(self._labelled(repo, store, checksum) for checksum in self.checksums)

    def _labelled(self, repo: Repo, store: Store, checksum: str) -> str:
        file = repo.file(checksum)
        owner = labelled_owner(file.owner, self.label)
        if file.target is not None:
            return store.write_symlink(owner, file.target)
        content = repo.content(checksum)
        if file.size > WHOLE:
            return store.write_large_file(owner, file.size, content)
        return store.write_file(owner, b"".join(content))
