"""Write new objects of a repo beside libostree: see object_file.py.

They lie in a directory of our own below the repo's `tmp`, where no reader of the repo looks;
staging.py moves them into `objects` once they are durable. Worker processes load this module, and
no pathlib with it, which takes as long to load as all of our readers of tars.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from importer.errors import ImporterError
from importer.repo.object_file import FORMATS, ObjectDirectory
from layers.ostree.objects import content_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.repo.object_file import Written
    from layers.chunks import Chunks
    from layers.entry import Owner

# A larger file, in bytes, is written in pieces. A smaller one is held whole, so that one thread
# can read the tar while others hash and write.
WHOLE = 1 << 20
# A directory is full with this many objects: a file system finds names in larger ones more slowly.
FULL = 8192
# How many bytes are written until the disk's free space is looked at again.
_LOOK = 16 << 20


class ObjectPlace(NamedTuple):
    """A repo's mode, its directory of objects, a directory for new ones, and the bytes that have to
    stay free on the disk."""

    mode: str
    objects: str
    directory: str
    reserved: int


class NewObjects:
    """An `importer.workers.job.Store`. Several threads may write at once, each into a directory of
    its own below the place's, and into another one when that is full."""

    def __init__(
        self, place: ObjectPlace, umask: int, on_full: Callable[[str], None] | None = None
    ) -> None:
        """`umask` has the bits that this process's may take away. `on_full` takes the path of each
        directory that is full; its objects may be moved into the repo while others are written."""
        self._place = place
        self._umask = umask
        self._on_full = on_full
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
        return sum(directory.bytes for directory in self._open)

    def write_file(self, owner: Owner, content: bytes) -> str:
        own = self._own()
        return self._note(own, own.write(content_of(owner, b""), content))

    def write_symlink(self, owner: Owner, target: str) -> str:
        own = self._own()
        return self._note(own, own.write(content_of(owner, target.encode()), b""))

    def write_large_file(self, owner: Owner, size: int, chunks: Chunks) -> str:
        own = self._own()
        return self._note(own, own.write_large(content_of(owner, b""), size, chunks))

    def write_meta(self, kind: str, data: bytes) -> str:
        return self._own().write_meta(kind, data)[0].partition(".")[0]

    def has_written(self, checksum: str) -> bool:
        """Return whether a content object was written here and is not in the repo yet."""
        name = checksum + FORMATS[self._place.mode].suffix
        return any(directory.has_new(name) for directory in self._open)

    def content(self, checksum: str) -> Chunks:
        """Yield the content of a file that was written here, or that the repo has."""
        form = FORMATS[self._place.mode]
        with self._opened(checksum + form.suffix) as file:
            yield from form.decoded(file)

    def _opened(self, name: str) -> BinaryIO:
        """Open an object's file. A full directory's may be moved into the repo at any time."""
        for directory in self._open:
            with suppress(FileNotFoundError):
                return open(f"{directory.path}/{name}", "rb")  # noqa: PTH123
        return open(f"{self._place.objects}/{name[:2]}/{name[2:]}", "rb")  # noqa: PTH123

    def _own(self) -> ObjectDirectory:
        """Return this thread's directory; threads that share one would wait for each other."""
        own: ObjectDirectory | None = getattr(self._threads, "directory", None)
        if own is None or own.files >= FULL:
            if own is not None and self._on_full is not None:
                self._on_full(own.path)
            mode, objects, directory, _ = self._place
            path = f"{directory}/{next(self._numbers)}"
            os.mkdir(path)  # noqa: PTH102
            own = self._threads.directory = ObjectDirectory(mode, objects, path, self._umask)
            self._open.append(own)
        return own

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
