"""Objects written beside libostree, see importer/repo/object_file.py.

They are written into a directory of our own under the repo's `tmp`, and moved into `objects`
once they are durable.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from importer.files.locked_directory import OPEN_DIRECTORY, locked_directory
from importer.repo.object_file import ANY_UMASK, move_objects
from importer.repo.staging import NewObjects, ObjectPlace

_PREFIX = "import-image-"
# A file system has one lock for moves between directories, and a thread that waits for it keeps a
# processor busy (fs/namei.c, lock_rename()).
moving = threading.Lock()


class LooseObjects:
    """One transaction's objects; several threads may write `new` ones at once.

    Call `publish` once the objects are durable; until then no reader of the repo sees them.
    """

    def __init__(self, repo: Path, mode: str, reserved: int) -> None:
        """`reserved` is how many bytes have to stay free on the disk."""
        self._directory, self._held = claimed(repo / "tmp")
        self._mode = mode
        self._objects = str(repo / "objects")
        self._reserved = reserved
        self.new = NewObjects(self.new_place(), ANY_UMASK)
        self._counted_bytes = 0

    def count_written(self, size: int) -> None:
        """Add the bytes of content that another process wrote into a place of its own."""
        self._counted_bytes += size

    @property
    def written_bytes(self) -> int:
        """Return the bytes that the new content files take."""
        return self.new.written_bytes + self._counted_bytes

    def publish(self) -> None:
        """Move all objects into the repo."""
        with moving:
            for place in self._directory.iterdir():
                for directory in place.iterdir():
                    move_objects(self._objects, str(directory))

    def new_place(self) -> ObjectPlace:
        """Make a directory of its own for one writer of objects."""
        directory = tempfile.mkdtemp(dir=self._directory)
        return ObjectPlace(self._mode, self._objects, directory, self._reserved)

    def close(self) -> None:
        """Remove the objects that were not published."""
        self.new.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._held)


def claimed(tmp: Path) -> tuple[Path, int]:
    """Return a new directory in `tmp`, and a descriptor that holds its lock."""
    return locked_directory(tmp, _PREFIX)


def clear_abandoned(tmp: Path) -> None:
    """Remove the directories of killed imports, whose locks are free."""
    for directory in tmp.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            held = os.open(directory, OPEN_DIRECTORY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(held)
