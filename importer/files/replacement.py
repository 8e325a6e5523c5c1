"""Replace files as a whole, or not at all."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from stat import S_IFREG, S_ISREG
from typing import BinaryIO, Self

from importer.errors import ImporterError, os_faults
from importer.files.atomic import new_file
from importer.files.descriptors import check_regular, held, mount_id

_NEW = 0o666


class Replacement:
    """New content of a file, without a name until `publish`: readers see the old file or the new
    file.

    The content is written before a branch is moved, so that a full disk or a missing permission
    stops the import before that.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self._final = path.resolve()  # a symlink stays one
        self._content = content
        self._before: bytes | None = None

    def __enter__(self) -> Self:
        check_replaceable(self.path)
        with os_faults(f"{self.path} cannot be written"), ExitStack() as opened:
            self._new = opened.enter_context(new_file(self._final.parent))
            self._write()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _write(self) -> None:
        file = self._new.file
        file.write(self._content)
        file.flush()
        os.fchmod(file.fileno(), self._mode())
        os.fsync(file.fileno())  # a full disk may be told of here, before a branch is moved

    def _mode(self) -> int:
        """Return the old file's permissions; for a new file 0666 without the umask's bits."""
        with suppress(FileNotFoundError):
            return self._final.stat().st_mode & 0o777
        umask = os.umask(0o077)
        os.umask(umask)
        return _NEW & ~umask

    def publish(self) -> bool:
        """Put the new content in place. Return False if the file has this content already."""
        with os_faults(f"{self.path} cannot be replaced"):
            with suppress(FileNotFoundError):
                with open_regular(self._final) as file:
                    self._before = file.read()
                if self._before == self._content:
                    return False
            self._new.replace(self._final)
        return True

    def restore(self) -> None:
        """Undo `publish`: put back the old file, or remove the new file if there was none."""
        if self._before is None:
            self._final.unlink()
            return
        with Replacement(self.path, self._before) as old:
            old.publish()


def publish_all(files: list[Replacement]) -> list[Replacement]:
    """Put all files in place, or none. Return the files that have changed.

    Raise ImporterError if a file cannot be replaced. The files replaced before then get their old
    content back. (A kill in between leaves some files new and some old.)
    """
    done: list[Replacement] = []
    try:
        for file in files:
            if file.publish():
                done.append(file)  # noqa: PERF401 # `done` has to tell how far it came
    except ImporterError:
        for file in reversed(done):
            file.restore()
        raise
    return done


def check_replaceable(path: Path) -> None:
    """Raise ImporterError if it is clear beforehand that no file can be put at the path.

    A device or pipe is refused: a user who may write to /dev would lose /dev/null. So is a mount,
    as a container gets a single file: rename(2) does not replace it.
    """
    final = path.resolve()
    with os_faults(f"{path} cannot be written"):
        mount = _mount_of(final.parent)
        try:
            mode, mounted = final.stat().st_mode, _mount_of(final) != mount
        except FileNotFoundError:
            mode, mounted = S_IFREG, False
    if not S_ISREG(mode):
        raise ImporterError(f"{path} cannot be written: it is no regular file")
    if mounted:
        raise ImporterError(
            f"{path} cannot be replaced: it is mounted there", hint="mount its directory instead"
        )
    if not os.access(final.parent, os.W_OK | os.X_OK):
        raise ImporterError(f"{path} cannot be written: its directory is not writable")


def _mount_of(path: Path) -> str:
    with held(os.open(path, os.O_PATH | os.O_CLOEXEC)) as descriptor:
        return mount_id(descriptor)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file of a foreign directory to read. Raise OSError as open(2) does, and for a
    fifo or a device, which could keep us waiting for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        check_regular(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_file(path: Path, limit: int, *, pipes: bool = False) -> bytes:
    """Read a regular file of at most `limit` bytes. `pipes` allows the user's own pipe, as bash
    makes one for `<(...)`; any other could keep us waiting for ever.

    Raise ImporterError if the file cannot be read, or is larger.
    """
    cannot_be_read = os_faults(f"{path} cannot be read")
    with cannot_be_read, path.open("rb") if pipes else open_regular(path) as file:
        too_large = os.fstat(file.fileno()).st_size > limit
        # None for a file of /proc whose reader would wait.
        data = b"" if too_large else file.read(limit + 1) or b""
    if too_large or len(data) > limit:
        raise ImporterError(f"{path} has more than {limit} bytes")
    return data
