"""Objects that `ostree pull` fetches from other machines by HTTP, into a repo beside this one.

Each pull is a process: within one, pulls of libostree at the same time wait for each other for ever
now and then (seen with 2025.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.files.scratch import made_directory, remove_directory
from importer.process import run_transfer
from importer.repo.libostree import Gio, OSTree, faults
from importer.repo.staging import OwnDirectory, moving

if TYPE_CHECKING:
    from pathlib import Path

_REMOTE = "worker"
# Seconds without a kilobyte.
_SILENCE = 60
_CONTENT = (".file", ".filez")


class PulledObjects(OwnDirectory):
    """A directory for repos that each pull one commit.

    Objects that the repo has are not fetched: it is the parent of these repos. The commit itself
    stays behind; the files that it names are moved into the repo.
    """

    def __init__(self, repo: Path, handle: OSTree.Repo) -> None:
        super().__init__(repo)
        self._mode = handle.get_mode()

    def pull(self, url: str, commit: str) -> int:
        """Pull the files of a commit from the archive repo at `url`; they are durable on return.
        Return the bytes that the new ones take.

        libostree verifies each checksum. Raise FetchError if nothing comes for a minute,
        ImporterError if the commit cannot be had.
        """
        place = made_directory(self.directory)
        try:
            with faults("making a repo to pull into"):
                self._make(place, url)
            pull = ["ostree", "pull", f"--repo={place}", "--disable-static-deltas"]
            run_transfer([*pull, _REMOTE, commit], pass_fds=(), timeout=_SILENCE)
            with faults("moving files into the repo"), moving:
                return self._move(place / "objects")
        finally:
            remove_directory(place)

    def _make(self, place: Path, url: str) -> None:
        """Make a repo in an empty directory; its config alone, which others cannot read, has the
        URL."""
        repo = OSTree.Repo.new(Gio.File.new_for_path(str(place)))
        repo.create(self._mode, None)
        config = repo.copy_config()
        config.set_string("core", "parent", str(self.repo))
        section = f'remote "{_REMOTE}"'
        config.set_string(section, "url", url)
        config.set_boolean(section, "gpg-verify", False)  # the checksum came from the worker
        repo.write_config(config)

    def _move(self, objects: Path) -> int:
        size = 0
        for part in objects.iterdir():
            target = self.repo / "objects" / part.name
            for file in part.iterdir():
                if file.suffix in _CONTENT:
                    target.mkdir(mode=0o775, exist_ok=True)
                    size += file.lstat().st_size
                    file.rename(target / file.name)
        return size
