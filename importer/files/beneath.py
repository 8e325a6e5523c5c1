"""Open files beneath a directory without following a symlink, wherever on the way it is.

A tree may change while we read it: a path that was checked may lead elsewhere when it is opened.
So the kernel opens the whole path in one step, openat2(2). If the kernel or a seccomp filter lacks
that call, we open name by name, each beneath the descriptor of the last.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from functools import cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from layers.path import Path

_OPENAT2 = 437  # the same on all architectures since Linux 5.6
_RESOLVE_NO_MAGICLINKS = 0x02  # include/uapi/linux/openat2.h
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE = _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH
# Not blocking, so that a fifo in a file's place cannot keep us waiting for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_CALL = (errno.ENOSYS, errno.EPERM)
# Directories that `Beneath` keeps open; a process may have 1,024 files open, as a rule.
_HELD = 64


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def open_file(directory: int, path: bytes) -> int:
    """Return a descriptor that reads the file at `path`, relative to the directory's descriptor.

    The access time is kept if the kernel allows that (O_NOATIME: for the owner and for root).
    Raise OSError as open(2) does; ELOOP for a symlink, EXDEV for a path with an empty name, `.`
    or `..` in it.
    """
    try:
        return _open(directory, path, _READ | os.O_NOATIME)
    except PermissionError:
        return _open(directory, path, _READ)


def open_directory(directory: int, path: bytes) -> int:
    """Return a descriptor of the directory at `path`, to list its names. See `open_file`."""
    try:
        return _open(directory, path, _READ | os.O_DIRECTORY | os.O_NOATIME)
    except PermissionError:
        return _open(directory, path, _READ | os.O_DIRECTORY)


def look_at(directory: int, path: bytes) -> int:
    """Return an O_PATH descriptor of the entry at `path`, of any type, a symlink included.

    The descriptor gives the entry's status; `reopened` opens it to read. See `open_file`.
    """
    return _open(directory, path, _LOOK)


def reopened(descriptor: int) -> int:
    """Return a descriptor that reads the file of `look_at`'s descriptor, even if it was renamed."""
    path = f"/proc/self/fd/{descriptor}"
    flags = _READ & ~os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:
        return os.open(path, flags)


class Beneath:
    """Open files and directories at paths of any length below `root`, a descriptor that the caller
    closes.

    The last directories on the way stay open, since a walk goes to neighbours next.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._opened: list[tuple[Path, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._opened:
            os.close(self._opened.pop()[1])

    def directory(self, path: Path) -> int:
        """Return a descriptor of the directory, valid until the next call. Raise OSError as
        `open_directory` does."""
        while self._opened and path[: len(self._opened[-1][0])] != self._opened[-1][0]:
            os.close(self._opened.pop()[1])
        above, descriptor = self._opened[-1] if self._opened else ((), self._root)
        for length in range(len(above) + 1, len(path) + 1):
            descriptor = open_directory(descriptor, path[length - 1])
            self._opened.append((path[:length], descriptor))
            if len(self._opened) > _HELD:
                os.close(self._opened.pop(0)[1])
        return descriptor

    def file(self, path: Path) -> int:
        """Return a descriptor that reads the file, which the caller closes. Raise OSError as
        `open_file` does."""
        return open_file(self.directory(path[:-1]), path[-1])


def _open(directory: int, path: bytes, flags: int) -> int:
    names = path.split(b"/")
    if any(name in (b"", b".", b"..") for name in names):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), os.fsdecode(path))
    if len(names) == 1:  # nothing on the way; all flags have O_NOFOLLOW
        return os.open(path, flags, dir_fd=directory)
    if _has_openat2():
        return _openat2(directory, path, flags)
    return _walk(directory, names, flags)


@cache
def _has_openat2() -> bool:
    root = os.open("/", _LOOK | os.O_DIRECTORY)
    try:
        os.close(_openat2(root, b"proc", _LOOK))
    except OSError as error:
        return error.errno not in _NO_CALL
    finally:
        os.close(root)
    return True


def _openat2(directory: int, path: bytes, flags: int) -> int:
    how = _How(flags, 0, _RESOLVE)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    descriptor: int = _libc.syscall(_OPENAT2, directory, path, ctypes.byref(how), size)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fsdecode(path))
    return descriptor


def _walk(directory: int, names: list[bytes], flags: int) -> int:
    at = directory
    try:
        for name in names[:-1]:
            below = _step(at, name)
            if at != directory:
                os.close(at)
            at = below
        return os.open(names[-1], flags, dir_fd=at)
    finally:
        if at != directory:
            os.close(at)


def _step(directory: int, name: bytes) -> int:
    try:
        return os.open(name, _LOOK | os.O_DIRECTORY, dir_fd=directory)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(name)) from None
        raise
