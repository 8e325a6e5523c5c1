"""Move new objects into a repo: those of new_objects.py, once they are durable."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from importer.files.scratch import (
    LockedDirectory,
    clear_abandoned,
    made_directory,
    remove_directory,
)
from importer.repo.new_objects import NewObjects, ObjectPlace
from importer.repo.object_file import ANY_UMASK, move_objects

_PREFIX = "import-image-"
# A file system has one lock for moves between directories, and a thread that waits for it keeps a
# processor busy (fs/namei.c, lock_rename()).
moving = threading.Lock()


class OwnDirectory(LockedDirectory):
    """A directory below a repo's `tmp`. `repo` is the repo's path as other machines have it, with
    its symlinks."""

    def __init__(self, repo: Path) -> None:
        self.repo = Path(os.path.abspath(repo))  # noqa: PTH100
        clear_abandoned_objects(self.repo)
        super().__init__(self.repo / "tmp", _PREFIX)


class LooseObjects(OwnDirectory):
    """The objects of one transaction, or those that other machines write on a file system that they
    share with this one; several threads may write `new` ones at once.

    No reader of the repo sees an object until it is published, which has to be durable by then.
    """

    def __init__(self, repo: Path, mode: str, reserved: int) -> None:
        """`reserved` is how many bytes have to stay free on the disk."""
        super().__init__(repo)
        self.place = ObjectPlace(mode, str(self.repo / "objects"), str(self.directory), reserved)
        self.new = NewObjects(self.new_place(), ANY_UMASK)
        self._counted_bytes = 0

    def count_written(self, size: int) -> None:
        """Add the bytes of content that another process wrote into a place of its own."""
        self._counted_bytes += size

    @property
    def written_bytes(self) -> int:
        """The bytes that the new content files take."""
        return self.new.written_bytes + self._counted_bytes

    def new_place(self) -> ObjectPlace:
        """Make a directory for one writer of objects."""
        return self.place._replace(directory=str(made_directory(self.directory)))

    def publish(self) -> None:
        """Move the objects of all writers into the repo."""
        for place in self.directory.iterdir():
            self.publish_of(place)

    def publish_of(self, place: Path) -> None:
        """Move all objects in a writer's directory into the repo. Raise OSError as rename(2)."""
        for directory in place.iterdir():
            self.publish_full(str(directory))
        remove_directory(place)

    def publish_full(self, directory: str) -> None:
        """Move the objects of one directory of a writer, which adds no more to it."""
        with moving:
            move_objects(self.place.objects, directory)

    def close(self) -> None:
        """Remove the objects that were not published."""
        self.new.close()
        super().close()


def clear_abandoned_objects(repo: Path) -> None:
    """Remove the directories of killed imports."""
    clear_abandoned(repo / "tmp", _PREFIX, of_all_users=True)
