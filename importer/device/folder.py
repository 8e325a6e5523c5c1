"""A directory of a device, and what lies beneath it, reached without following a symlink."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a pipe must not wait for a writer.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Linux 5.2, include/uapi/linux/mount.h; the call has this number on every architecture.
_OPEN_TREE, _CLONE, _AT_FDCWD = 428, 1, -100


class DeviceError(Exception):
    """The storage or a configuration cannot be read or written: what, why, and what to do."""


class Folder:
    """An open directory. Paths beneath are relative, and no part of them may be a symlink.

    Reading an absent name gives None or nothing. Any other error of the system is a DeviceError.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def status(self, path: str) -> Optional[os.stat_result]:
        """Return the status of a file, a directory, or a symlink itself; None below a file."""
        with self._reads(path):
            try:
                with self._at(path) as (at, name):
                    return os.stat(name, dir_fd=at, follow_symlinks=False)
            except NotADirectoryError:
                return None
        return None

    def read(self, path: str, most: int) -> Optional[bytes]:
        """Return a regular file of at most `most` bytes."""
        with self._reads(path), self.file(path) as descriptor:
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(most + 1)
            if len(data) > most:
                raise DeviceError(f"{self.path / path} has more than {most} bytes")
            return data
        return None

    def target(self, path: str) -> Optional[str]:
        """Return where a symlink leads."""
        with self._reads(path), self._at(path) as (at, name):
            return os.readlink(name, dir_fd=at)
        return None

    def names(self, path: str) -> List[str]:
        """Return the sorted names in a directory."""
        with self._reads(path), self._at(f"{path}/.") as (at, _):
            return sorted(entry.name for entry in os.scandir(at))
        return []

    def label(self, path: str) -> str:
        """Return the SELinux label of a directory, "" if it has none or is absent."""
        with self._reads(path), self._at(f"{path}/.") as (at, _):
            try:
                label = os.getxattr(f"/proc/self/fd/{at}", "security.selinux")
            except OSError as error:
                if error.errno not in {errno.ENODATA, errno.EOPNOTSUPP}:
                    raise
                return ""
            return label.rstrip(b"\0").decode("ascii", "replace")
        return ""

    @contextmanager
    def directory(self, path: str) -> Iterator[int]:
        """Open a directory; yield its descriptor."""
        with self._writes(path), self._at(f"{path}/.") as (at, _):
            yield at

    @contextmanager
    def file(self, path: str, access: int = os.O_RDONLY) -> Iterator[int]:
        """Open a regular file; yield its descriptor. Raise FileNotFoundError if it is absent."""
        try:
            with self._at(path) as (at, name):
                descriptor = os.open(name, access | _FILE, dir_fd=at)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise DeviceError(f"{self.path / path} is no regular file")
                yield descriptor
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _explained(error, self.path / path) from None

    def make(self, path: str) -> None:
        """Make a directory, and those above it, which only their owner may enter."""
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[:count])
            with self._writes(above), self._at(above) as (at, name), suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=at)

    def write(self, path: str, data: bytes) -> None:
        """Replace a file at once by one that only its owner may read."""
        with self._writes(path), self._at(path) as (at, name):
            part = f".{name}.{os.urandom(8).hex()}"
            with os.fdopen(os.open(part, _NEW, 0o600, dir_fd=at), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, name, src_dir_fd=at, dst_dir_fd=at)
            os.fsync(at)

    def link(self, target: str, path: str) -> None:
        with self._writes(path), self._at(path) as (at, name):
            os.symlink(target, name, dir_fd=at)

    def unlink(self, path: str) -> None:
        with self._writes(path), self._at(path) as (at, name):
            os.unlink(name, dir_fd=at)

    def move(self, path: str, to: str) -> None:
        """Rename a file or directory. Raise DeviceError if the new name is taken."""
        with self._writes(path), self._at(path) as (at, name), self._at(to) as (there, new):
            if _lies(new, there):
                raise DeviceError(f"{self.path / to} is there already")
            os.rename(name, new, src_dir_fd=at, dst_dir_fd=there)

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it."""
        with self._writes(path), self._at(path) as (at, name):
            # Python 3.9's rmtree takes no descriptor. Below its path it follows no symlink.
            shutil.rmtree(f"/proc/self/fd/{at}/{name}")

    def sync(self) -> None:
        """Have the disk keep all changes of the file system, syncfs(2)."""
        with self._writes("."):
            here = os.open(".", _DIRECTORY, dir_fd=self._descriptor)
            failed = ctypes.CDLL(None, use_errno=True).syncfs(here)
            number = ctypes.get_errno()
            os.close(here)
            if failed:
                raise OSError(number, os.strerror(number))

    @contextmanager
    def _at(self, path: str) -> Iterator[Tuple[int, str]]:
        """Open the directory that a path lies in; yield its descriptor, and the last name."""
        *folders, name = path.split("/")
        at = os.dup(self._descriptor)
        try:
            for folder in folders:
                above, at = at, os.open(folder, _DIRECTORY, dir_fd=at)
                os.close(above)
            yield at, name
        finally:
            os.close(at)

    @contextmanager
    def _reads(self, path: str) -> Iterator[None]:
        with self._writes(path):
            try:
                yield
            except FileNotFoundError:
                return

    @contextmanager
    def _writes(self, path: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise _explained(error, self.path / path) from None


def opened(path: Path, held: ExitStack) -> Optional[Folder]:
    """Open a directory until `held` ends; its own path may have symlinks. Return None if it is
    absent."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _explained(error, path) from None
    held.callback(os.close, descriptor)
    return Folder(path, descriptor)


def opened_below_mounts(path: Path, held: ExitStack) -> Optional[Folder]:
    """Open a storage without the mounts in it, across which rename(2) fails.

    containers-storage's driver mounts its directory `overlay` on itself (drivers/overlay, `Init`).
    A copy of the storage's mount lacks such mounts, open_tree(2). Return the plain directory on an
    older kernel, without privileges, or if another file system really is mounted in the storage.
    """
    plain = opened(path, held)
    call = ctypes.CDLL(None, use_errno=True).syscall
    copied = call(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _CLONE | os.O_CLOEXEC) if plain else -1
    if plain is None or copied < 0:
        return plain
    held.callback(os.close, copied)
    copy = Folder(path, copied)
    return copy if all(_same(plain, copy, name) for name in plain.names(".")) else plain


def _same(plain: Folder, copy: Folder, name: str) -> bool:
    """Return whether the name is the same inode in both."""
    first, second = plain.status(name), copy.status(name)
    if first is None or second is None:
        return first is second
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def printable(text: str) -> str:
    """Return the text with control characters as escapes, which a terminal does not obey."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _lies(name: str, at: int) -> bool:
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _explained(error: Exception, path: Path) -> DeviceError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return DeviceError(f"{path}: {reason}")
