"""New objects of a repo, in directories where no reader of the repo looks."""

from __future__ import annotations

import os
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from importer.errors import ImporterError
from importer.files.presence import is_present
from importer.repo.object_file import FORMATS, ObjectDirectory
from layers.ostree.objects import content_of

if TYPE_CHECKING:
    from importer.repo.object_file import Written
    from layers.chunks import Chunks
    from layers.entry import Owner

# A larger file, in bytes, is written in pieces. A smaller one is held whole, so that one thread
# can read the tar while others hash and write.
WHOLE = 1 << 20
# So many objects are about what one directory has: a file system looks for a name ever longer.
_FULL = 8192
# How much is written before it is seen what room there is.
_LOOK = 16 << 20


class ObjectPlace(NamedTuple):
    """A repo's mode, its directory of objects, a directory for new ones, and how much is to
    stay free on the disk, in bytes."""

    mode: str
    objects: str
    directory: str
    reserved: int


class NewObjects:
    """Several threads may write at once, each into a directory below the place's own, and another
    where that is full; an `importer.ingest.object_writer.Store`."""

    def __init__(self, place: ObjectPlace, umask: int) -> None:
        """`umask` has the bits that this process's may take away."""
        self._place = place
        self._umask = umask
        self._numbers = count()
        self._threads = threading.local()
        self._open: list[ObjectDirectory] = []

    @property
    def is_slow(self) -> bool:
        """Return whether a file is worth a thread of its own: it is deflated."""
        return self._place.mode == "archive"

    def close(self) -> None:
        """Close the descriptors; the files stay."""
        for directory in self._open:
            directory.close()

    @property
    def written_bytes(self) -> int:
        """Return the bytes that the new content files take."""
        return sum(directory.bytes for directory in self._open)

    def write_file(self, owner: Owner, content: bytes) -> str:
        """Store a file, the content in one piece. Return its checksum."""
        own = self._own()
        return self._note(own, own.write(content_of(owner, b""), content))

    def write_symlink(self, owner: Owner, target: str) -> str:
        """Store a symlink. Return its checksum."""
        own = self._own()
        return self._note(own, own.write(content_of(owner, target.encode()), b""))

    def write_large_file(self, owner: Owner, size: int, chunks: Chunks) -> str:
        """Store a file of `size` bytes that come in pieces. Return its checksum."""
        own = self._own()
        return self._note(own, own.write_large(content_of(owner, b""), size, chunks))

    def write_meta(self, kind: str, data: bytes) -> str:
        """Store a `dirtree` or a `dirmeta`. Return its checksum."""
        return self._own().write_meta(kind, data)[0].partition(".")[0]

    def has_written(self, checksum: str) -> bool:
        """Return whether a content object was written here and is not in the repo yet."""
        return self._found(checksum) is not None

    def content(self, checksum: str) -> Chunks:
        """Yield the content of a file that was written here, or that the repo has."""
        mode, objects, _, _ = self._place
        name = checksum + FORMATS[mode].suffix
        path = self._found(checksum) or Path(objects, name[:2], name[2:])
        with path.open("rb") as file:
            yield from FORMATS[mode].decoded(file)

    def _found(self, checksum: str) -> Path | None:
        name = checksum + FORMATS[self._place.mode].suffix
        own = (Path(directory.path, name) for directory in self._open)
        return next((path for path in own if is_present(path)), None)

    def _own(self) -> ObjectDirectory:
        """Return this thread's directory; threads that share one would wait for each other."""
        found: ObjectDirectory | None = getattr(self._threads, "directory", None)
        if found is None or found.files >= _FULL:
            mode, objects, directory, _ = self._place
            path = f"{directory}/{next(self._numbers)}"
            Path(path).mkdir()
            found = ObjectDirectory(mode, objects, path, self._umask)
            self._threads.directory = found
            self._open.append(found)
        return found

    def _note(self, own: ObjectDirectory, written: Written) -> str:
        """Count a new file. Raise ImporterError when the disk is as full as libostree allows."""
        name, size = written
        if size >= 0:
            own.bytes += size
            if own.bytes > own.room:
                own.room = own.bytes + self._look()
        return name.partition(".")[0]

    def _look(self) -> int:
        """Return how many bytes may be written before the disk is looked at again.

        Other threads, layers and programs write to the disk at the same time.
        """
        disk = os.statvfs(self._place.directory)
        free = disk.f_bavail * disk.f_frsize - self._place.reserved
        if free < 0:
            raise ImporterError(
                "the disk has no more room than the repo is to leave free",
                hint="free space, or see min-free-space-percent in ostree.repo-config(5)",
            )
        return min(free, _LOOK)
