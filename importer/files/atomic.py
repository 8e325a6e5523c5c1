"""Write a file, such as a blob, that gets its name when it has its content.

A killed process and a power cut leave no half-written file. As ostree writes its own (libglnx,
glnx_open_tmpfile_linkable_at): O_TMPFILE makes a file without a name; since linkat(2) replaces no
other file, the file has a temporary name for a moment. On a file system without O_TMPFILE, such as
NFS, it has that name from the beginning. The process holds a lock of the file; a temporary file
without a lock was left by a killed process.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from errno import EISDIR, EOPNOTSUPP
from stat import S_ISREG
from typing import TYPE_CHECKING

from importer.files.descriptors import held
from importer.files.sync import sync_directory
from layers.chunks import Hashed
from layers.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

_PREFIX, _SUFFIX = ".import-image-", ".tmp"
_FLAGS = os.O_RDWR | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_UNNAMED = os.O_TMPFILE
# open(2): by the file system, and by a kernel that does not know the flag.
_NOT_THERE = (EOPNOTSUPP, EISDIR)


class NewFile:
    """A file that is being written. Errors are the system's OSError."""

    def __init__(self, directory: Path, descriptor: int, name: Path | None) -> None:
        self._directory = directory
        self._name = name
        self.file: BinaryIO = os.fdopen(descriptor, "wb")

    def replace(self, final: Path) -> None:
        """Give the file its final name, in place of any file of that name. Content and name are
        durable on return."""
        self.file.flush()
        os.fsync(self.file.fileno())
        if self._name is None:
            self._name = self._linked()
        self._name.replace(final)
        self._name = None
        sync_directory(self._directory)

    def _linked(self) -> Path:
        name = _temporary(self._directory)
        source = f"/proc/self/fd/{self.file.fileno()}"
        # open(2), "O_TMPFILE"; only with a descriptor does Python call linkat(2), which follows.
        os.link(source, name, src_dir_fd=0, follow_symlinks=True)
        return name

    def close(self) -> None:
        """Remove the file if it has not got its final name."""
        if self._name is not None:
            self._name.unlink(missing_ok=True)
        self.file.close()


@contextmanager
def new_file(directory: Path) -> Iterator[NewFile]:
    """Open a new file in a directory, and remove the files that killed processes left there."""
    for path in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):  # gone by now, not ours, or held
            _clear_abandoned(path)
    descriptor = _unnamed(directory)
    opened = (descriptor, None) if descriptor is not None else _named(directory)
    new = NewFile(directory, *opened)
    try:
        yield new
    finally:
        new.close()


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file of mode 0644, in place of any other of that name. Raise OSError."""
    with new_file(path.parent) as new:
        new.file.writelines(chunks)
        os.fchmod(new.file.fileno(), 0o644)
        new.replace(path)


def new_blob(directory: Path, chunks: Iterable[bytes]) -> tuple[Digest, int]:
    """Write a file of mode 0644 that is named by its sha256. Return this digest, and the size in
    bytes. Raise OSError."""
    hashed = Hashed(iter(chunks))
    with new_file(directory) as new:
        new.file.writelines(hashed)
        os.fchmod(new.file.fileno(), 0o644)
        new.replace(directory / hashed.digest.hex)
    return hashed.digest, hashed.size


def has_content(path: Path, digest: Digest, size: int) -> bool:
    """Return whether the path is a regular file of `size` bytes whose content has this digest.

    A file of another size is not read: it may be sparse, and have terabytes.
    """
    hasher = digest.hasher()
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return False
    with held(descriptor):
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode) or status.st_size != size:
            return False
        while piece := os.read(descriptor, 1 << 20):
            hasher.update(piece)
    return hasher.hexdigest() == digest.hex


def is_fresh(directory: Path) -> bool:
    """Return whether a directory has nothing in it, or only what a killed process of ours left."""
    names = (path.name for path in directory.iterdir())
    return all(name.startswith(_PREFIX) and name.endswith(_SUFFIX) for name in names)


def _unnamed(directory: Path) -> int | None:
    """Open a file without a name, or return None where the file system has no such files."""
    try:
        descriptor = os.open(directory, _UNNAMED | _FLAGS, 0o600)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return None
    _hold(descriptor)
    return descriptor


def _named(directory: Path) -> tuple[int, Path]:
    """Create a file with a temporary name, and lock it.

    Another process may take the file for abandoned before it is locked, and remove it; then try
    again.
    """
    while True:
        name = _temporary(directory)
        descriptor = os.open(name, os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        _hold(descriptor)
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)


def _hold(descriptor: int) -> None:
    with suppress(OSError):  # a file system without locks: no process removes abandoned files there
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _temporary(directory: Path) -> Path:
    return directory / f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"


def _clear_abandoned(path: Path) -> None:
    with held(os.open(path, _FLAGS | os.O_NOFOLLOW | os.O_NONBLOCK)) as descriptor:
        status = os.fstat(descriptor)
        if S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
