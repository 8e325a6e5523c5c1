"""Content objects written beside libostree, see importer/objectfile.py.

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
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.objectfile import ANY_UMASK, FORMATS, ObjectDirectory, move_objects
from importer.writermain import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.objectfile import Content, Written
    from importer.writers import Writers
    from layers.verify import Chunks

_PREFIX = "import-image-"
# So many files are written here before processes are started for more.
_FEW = 500
# So many objects are about what one directory has: a file system looks for a name ever longer.
_FULL = 8192
# How much is written before it is seen what room there is.
_LOOK = 16 << 20


class LooseObjects:
    """One transaction's content objects; several threads may write at once.

    `publish` is to be called when all that was written is durable: until then the objects
    are where no reader of the repo looks.
    """

    def __init__(
        self, repo: Path, mode: str, reserved: int, writers: Writers | None = None
    ) -> None:
        """`reserved` is what is to stay free on the disk, in bytes."""
        self._objects = str(repo / "objects")
        self._mode = mode
        self._reserved = reserved
        self._room = 0  # bytes that may be written before the disk is looked at again
        self._writers = writers
        self.written_bytes = 0
        self._written: dict[str, str] = {}  # the directory that an object is in
        self._threads = threading.local()
        self._open: list[ObjectDirectory] = []
        self._lock = threading.Lock()
        _clear_abandoned(repo / "tmp")
        self._directory, self._held = _claimed(repo / "tmp")

    def write(self, content: Content, data: bytes) -> str:
        """Store content in one piece; the object's checksum."""
        own = self._own()
        return self._note(own.write(content, data), own.path)

    def write_all(self, files: Sequence[tuple[Content, bytes]]) -> list[str]:
        """The same for several; where they come to many, by another process."""
        if self._writers is None or len(self._written) < _FEW:
            return [self.write(content, data) for content, data in files]
        with self._writers.lent() as writer:
            path = f"{self._directory}/{writer.number}-{len(self._written) // _FULL}"
            Path(path).mkdir(exist_ok=True)
            written = writer.write(self._place(path), files)
        return [self._note(one, path) for one in written]

    def write_large(self, content: Content, size: int, chunks: Chunks) -> str:
        """Store content that comes in pieces."""
        own = self._own()
        return self._note(own.write_large(content, size, chunks), own.path)

    def publish(self) -> None:
        """Move all objects to where they belong."""
        found: dict[str, list[str]] = {}
        for checksum, directory in self._written.items():
            found.setdefault(directory, []).append(checksum)
        for directory, checksums in found.items():
            self._move(directory, checksums)

    def _move(self, directory: str, checksums: Sequence[str]) -> None:
        if self._writers is None or len(checksums) < _FEW:
            move_objects(self._mode, self._objects, directory, checksums)
        else:
            with self._writers.moving, self._writers.lent() as writer:
                writer.move(self._place(directory), checksums)

    def _place(self, directory: str) -> Place:
        return Place(self._mode, self._objects, directory)

    def close(self) -> None:
        """Remove what was not published."""
        for directory in self._open:
            directory.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._held)

    def has_written(self, checksum: str) -> bool:
        """Whether the object is here, and so not in the repo yet."""
        return checksum in self._written

    def read(self, checksum: str) -> Chunks:
        """The content of a file that was written here."""
        with Path(self._written[checksum], checksum).open("rb") as file:
            yield from FORMATS[self._mode].decoded(file)

    def _own(self) -> ObjectDirectory:
        """This thread's directory: two threads in one would wait for each other."""
        found: ObjectDirectory | None = getattr(self._threads, "directory", None)
        if found is None:
            path = tempfile.mkdtemp(dir=self._directory)
            found = ObjectDirectory(self._mode, self._objects, path, ANY_UMASK)
            self._threads.directory = found
            self._open.append(found)
        return found

    def _note(self, written: Written, directory: str) -> str:
        """Stop before the disk is full, where libostree would; a lock, as `-=` is not atomic."""
        checksum, size = written
        if size < 0:
            return checksum
        self._written[checksum] = directory
        with self._lock:
            self.written_bytes += size
            self._room -= size
            if self._room < 0:
                self._look()
        return checksum

    def _look(self) -> None:
        """Others write as well: layers side by side, and whoever else uses the disk."""
        disk = os.statvfs(self._directory)
        free = disk.f_bavail * disk.f_frsize - self._reserved
        if free < 0:
            raise ImporterError(
                "the disk has no more room than the repo is to leave free",
                hint="free space, or see min-free-space-percent in ostree.repo-config(5)",
            )
        self._room = min(free, _LOOK)


def _claimed(tmp: Path) -> tuple[Path, int]:
    """A new directory and a descriptor that holds its lock.

    Before it is locked, another import may take it for abandoned, and clear it away.
    """
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=tmp))
        with suppress(FileNotFoundError):
            held = os.open(directory, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if directory.exists():
                return directory, held
            os.close(held)


def _clear_abandoned(tmp: Path) -> None:
    """Remove what killed imports left: a directory that nobody holds the lock of."""
    for directory in tmp.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            held = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(held)
