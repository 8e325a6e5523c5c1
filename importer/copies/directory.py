"""Write a store as a directory: a containers-storage graphroot that podman and CRI-O read."""

from __future__ import annotations

import os
import stat
from dataclasses import field
from typing import TYPE_CHECKING

from importer.copies.disk_owner import Components
from importer.copies.disk_tree import DiskTree
from importer.errors import ImporterError, layer_faults, os_faults
from importer.files.atomic import is_fresh, replace_file
from importer.files.presence import is_directory, is_present
from importer.files.replacement import read_file
from importer.files.sync import make_directory, synced
from importer.run.result import CopiedStore
from importer.store.layers import NO_RECORDS, PARTS
from importer.store.reader import open_store
from layers.document import MAX_DOCUMENT_SIZE, compact_json, parse_document, string
from layers.errors import printable
from layers.frozen import frozen
from layers.words import several

if TYPE_CHECKING:
    from pathlib import Path

    from importer.copies.disk_owner import DiskOwners
    from importer.progress import Progress
    from importer.repo.writer import Repo

# Beside the store, in its directory: tells that we made the store. Other programs ignore it.
MARKER = ".import-image.json"
_FOR_ALL, _OWN = 0o755, 0o700
_MOST_BYTES = 64


@frozen
class DirectoryCopy:
    """A `StoreCopy`: the directory itself is the store. `update` allows a directory that has an
    earlier copy. `days` is that of `Components`."""

    to: Path
    update: bool = field(kw_only=True)
    days: int | None = field(kw_only=True, default=None)

    def check(self) -> None:
        """See `StoreCopy`. An empty store, as packages of podman install one, may be there."""
        if not is_present(self.to):
            return
        if not is_directory(self.to):
            raise ImporterError(f"{self.to} is no directory")
        with os_faults(f"reading {self.to}"):
            ours = is_present(self.to / MARKER)
            if not ours and not is_fresh(self.to) and not _is_empty_store(self.to):
                raise ImporterError(
                    f"{self.to} is not empty, and no store that --to made",
                    hint="name a new directory; a store of podman's own is not to be written to",
                )
        # A store that is not complete is of a run that failed, and may be completed.
        if ours and self._marked() is not None and not self.update:
            raise ImporterError(f"{self.to} has a store already", hint="--update changes it")

    def write(self, repo: Repo, commit: str, prefix: str, progress: Progress) -> CopiedStore:
        """See `StoreCopy`. Files that are the same already are not touched."""
        store = open_store(repo, commit, prefix)
        with os_faults(f"writing {self.to}"), progress.blob(self.to.name, store.size) as advance:
            fresh = not is_present(self.to)
            make_directory(self.to)
            if fresh:  # another user's set-uid files are not for everybody to run
                self.to.chmod(_OWN if os.geteuid() else _FOR_ALL)
            if self._marked() != commit:
                self._mark({})
            with synced(str(self.to)) as root:
                tree = DiskTree(repo, root, Components(store, self.days), advance)
                # The records of layers follow the files, and the records of images come last: no
                # program finds an image before its files are there.
                for name in PARTS:
                    if (part := store.root.find(name)) is not None:
                        tree.write((name.encode(),), part)
                    else:
                        tree.leave_out((name.encode(),))
                tree.clear()
            if self._marked() != commit:
                self._mark({"commit": commit})
        _tell_owners(tree.owners, progress)
        return CopiedStore(str(self.to), unchanged=not tree.changed, digest=None)

    def _marked(self) -> str | None:
        """Return the commit whose store the directory has; None if the store is not complete."""
        marker = self.to / MARKER
        if not is_present(marker):
            return None
        with layer_faults(str(marker), "name a new directory"):
            document = parse_document(read_file(marker, MAX_DOCUMENT_SIZE), MARKER)
            return string(document, "commit", MARKER, "") or None

    def _mark(self, document: dict[str, str]) -> None:
        marker = self.to / MARKER
        replace_file(marker, iter([compact_json(document)]))
        os.utime(marker, ns=(0, 0))
        os.utime(self.to, ns=(0, 0))


def _is_empty_store(directory: Path) -> bool:
    """Return whether a directory has nothing but the empty records of a store."""
    return all(
        stat.S_ISDIR(part.lstat().st_mode)
        and part.name in PARTS
        and all(_is_empty_record(path) for path in part.iterdir())
        for part in directory.iterdir()
    )


def _is_empty_record(path: Path) -> bool:
    status = path.lstat()
    if stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_BYTES:
        return path.read_bytes().strip() in NO_RECORDS
    return path.name == "l" and stat.S_ISDIR(status.st_mode) and not any(path.iterdir())


def _tell_owners(owners: DiskOwners, progress: Progress) -> None:
    """Report the files that this user cannot give to their owners."""
    if owners.lost:
        progress.message(
            f"{several(owners.lost, 'file')} of the store should belong to others than root, or"
            f" have xattrs that only root can set, such as {printable(owners.first)}; they are this"
            " user's, without these xattrs. To keep them, run the command as root or in"
            " `podman unshare`, or write tar:FILE"
        )
