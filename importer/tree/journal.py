"""The file of the journal of `import-tree translate`: the changes to a tree, to continue or to
undo them.

The file is replaced as a whole; it has all changes of a group before the first one is made. A user
who can write a journal can make its reader change any file of the tree, so a journal is read only
if it is the caller's own, in a directory that no other user can write to.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError, layer_faults, os_faults
from importer.files.atomic import new_file
from importer.files.descriptors import held
from layers.ondisk.journal import Journal, parse_journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.files.foreign import ForeignDirectory
    from layers.ondisk.change import Change

# Of some million changes.
_MOST_BYTES = 1 << 30
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ELSEWHERE = "--journal names a file elsewhere"


@dataclass(slots=True)
class JournalFile:
    """A journal on disk, in the open `directory`; `root` is the tree's path, `inode` the number of
    its directory."""

    path: Path
    root: bytes
    inode: int
    directory: int
    journal: Journal = field(default_factory=Journal)

    def load(self) -> None:
        """Read the journal, if there is one. Raise ImporterError if it is not the caller's, of
        another directory, or damaged."""
        with os_faults(f"{self.path} cannot be read"):
            try:
                descriptor = os.open(self.path.name, _FILE, dir_fd=self.directory)
            except FileNotFoundError:
                return
        with os.fdopen(descriptor, "rb") as file:
            _check_own(os.fstat(descriptor), self.path)
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise ImporterError(f"{self.path} has more than {_MOST_BYTES} bytes")
        hint = "name another file with --journal"
        with layer_faults(f"{self.path} is no journal of import-tree", hint):
            self.journal = parse_journal(raw)
        self._check_same_root()

    def _check_same_root(self) -> None:
        if self.journal.inode not in (None, self.inode):
            raise ImporterError(
                f"{self.path} is the journal of another directory than the one that is now at"
                f" {os.fsdecode(self.root)}",
                hint="mount the file system that it was made for, or name another file with"
                " --journal",
            )

    def begin(self, changes: Sequence[Change]) -> None:
        """Write a group of changes to the journal before they are made."""
        self._write(replace(self.journal, changes=(*self.journal.changes, *changes)))

    def finish(self) -> None:
        """Write to the journal that all changes are made."""
        self._write(replace(self.journal, done=len(self.journal.changes)))

    def remove(self) -> None:
        """Remove the journal, when all changes are undone."""
        with os_faults(f"{self.path} cannot be removed"):
            os.unlink(self.path.name, dir_fd=self.directory)

    def _write(self, journal: Journal) -> None:
        journal = replace(journal, inode=self.inode)
        # A path that stays that of the directory which was checked.
        place = Path(f"/proc/self/fd/{self.directory}")
        with os_faults(f"{self.path} cannot be written"), new_file(place) as new:
            new.file.writelines(journal.lines(self.root))
            new.replace(place / self.path.name)
        self.journal = journal


@contextmanager
def opened_journal(path: Path, root: ForeignDirectory) -> Iterator[JournalFile]:
    """Open the directory of a journal, and load the journal if the file exists.

    Raise ImporterError if another user can write to the directory.
    """
    with os_faults(str(path.parent), _ELSEWHERE):
        directory = os.open(path.parent, _DIRECTORY)
    with held(directory):
        status = os.fstat(directory)
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & _OTHERS_WRITE:
            raise ImporterError(
                f"others can write to {path.parent}, where the journal {path.name} would be",
                hint=f"{_ELSEWHERE}, in a directory of your own",
            )
        file = JournalFile(path, root.path, os.fstat(root.descriptor).st_ino, directory)
        file.load()
        yield file


def _check_own(status: os.stat_result, path: Path) -> None:
    """Raise ImporterError unless the file is regular, and the caller's alone to write."""
    if not stat.S_ISREG(status.st_mode):
        raise ImporterError(f"{path} is no regular file", hint=_ELSEWHERE)
    if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
        raise ImporterError(
            f"{path} is not a journal of this user: it belongs to somebody else, or others can"
            " write to it",
            hint="only the user who translated the tree can continue or undo it",
        )
