"""Read a directory that others may change: a store or a tree.

Nothing is locked or written, and everything is opened beneath the directory's own descriptor,
without following a symlink.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from errno import EDQUOT, ELOOP, ENOENT, ENOSPC, ENOTDIR
from operator import itemgetter
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError
from importer.files import beneath
from importer.files.descriptors import check_regular, held
from layers.errors import Fault, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from layers.chunks import OpenChunks

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_CHUNK = 1 << 20
# open(2)'s errors for a path that does not exist, or leads through a file or a symlink.
_ABSENT = (ENOENT, ENOTDIR)
ABSENT_BENEATH = (*_ABSENT, ELOOP)
UNREADABLE = "run as root, or within `podman unshare` for a store of your own"
_NO_DIRECTORY = "name a directory that this user may read"
_SYMLINK = "stores have no symlinks there; was the store moved? name the directory that it is in"


class ForeignDirectory:
    """A directory, held by its descriptor, so that it stays the same one.

    Paths are bytes, relative to it. Errors are ImporterErrors with the whole path.
    """

    def __init__(self, descriptor: int, path: bytes) -> None:
        """Own the descriptor, which `close` closes. `path` is for messages."""
        self.descriptor = descriptor
        self.path = path

    @classmethod
    def named(cls, path: Path) -> Self:
        """Open a directory that the user names; its path may have symlinks."""
        name = os.fsencode(path)
        try:
            return cls(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), name)
        except OSError as error:
            hint = UNREADABLE if isinstance(error, PermissionError) else _NO_DIRECTORY
            raise ImporterError(error.strerror or str(error), hint=hint, path=name) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)

    def full(self, path: bytes) -> bytes:
        """Return the whole path, for messages."""
        return self.path.rstrip(b"/") + b"/" + path if path else self.path

    def shown(self, path: bytes) -> str:
        """Return the whole path for people."""
        return printable(self.full(path))

    @contextmanager
    def faults(self, path: bytes = b"") -> Iterator[None]:
        """Turn an OSError into an ImporterError with the path, and a hint."""
        try:
            yield
        except OSError as error:
            raise self._fault(error, path) from None

    @contextmanager
    def entry(self, path: bytes) -> Iterator[None]:
        """Add the whole path of a listed entry to all errors. An entry that is gone has changed."""
        try:
            yield
        except OSError as error:
            if error.errno in ABSENT_BENEATH:
                raise changed().within(path=self.full(path)) from None
            raise self._fault(error, path) from None
        except Fault as error:
            raise error.within(path=self.full(path)) from None

    def _fault(self, error: OSError, path: bytes) -> ImporterError:
        if error.errno in (ENOSPC, EDQUOT):  # what was read is written at once, to the repo
            raise error
        hint = _SYMLINK if error.errno in (ELOOP, ENOTDIR) else ""
        if isinstance(error, PermissionError):
            hint = UNREADABLE
        return ImporterError(error.strerror or str(error), hint=hint, path=self.full(path))

    def directory(self, path: bytes) -> ForeignDirectory:
        """Open a directory below."""
        with self.faults(path):
            descriptor = beneath.open_directory(self.descriptor, path)
        return ForeignDirectory(descriptor, self.full(path))

    def is_there(self, path: bytes) -> bool:
        """Return whether the path exists, even as a dangling symlink."""
        with self.faults(path):
            try:
                os.close(beneath.look_at(self.descriptor, path))
            except OSError as error:
                if error.errno in _ABSENT:
                    return False
                raise
        return True

    def names(self) -> list[bytes]:
        """Return the directory's names, sorted."""
        with self.faults():
            names = os.listdir(self.descriptor)  # noqa: PTH208 - of a descriptor
        return sorted(map(os.fsencode, names))

    def read(self, path: bytes, limit: int) -> bytes | None:
        """Return a file's content, None if there is no such file. Raise ImporterError if it is not
        a regular file, or has more than `limit` bytes."""
        return b"".join(self.pieces(path, limit)) if self.is_there(path) else None

    def pieces(self, path: bytes, limit: int) -> OpenChunks:
        """Yield a file's content. Raise ImporterError as `read` does, and if it is missing.

        The size is compared first: a sparse file of terabytes costs nothing.
        """
        with self.faults(path), held(beneath.open_file(self.descriptor, path)) as descriptor:
            check_regular(descriptor)
            if os.fstat(descriptor).st_size > limit:
                raise ImporterError(f"{self.shown(path)} has more than {limit} bytes")
            for piece in _pieces(descriptor):
                limit -= len(piece)
                if limit < 0:
                    raise ImporterError(f"{self.shown(path)} grows while it is read")
                yield piece


def _pieces(descriptor: int) -> OpenChunks:
    while piece := os.read(descriptor, _CHUNK):
        yield piece


def sized_pieces(descriptor: int, size: int) -> OpenChunks:
    """Yield the bytes of a file of `size` bytes. Raise `changed` if there are fewer, or more: the
    owner could append to the file without end."""
    for piece in _pieces(descriptor):
        size -= len(piece)
        if size < 0:
            break
        yield piece
    if size:
        raise changed()


def changed() -> ImporterError:
    """Return the error for an entry that changed after it was looked at; `entry` adds the path."""
    return ImporterError(
        "it changed while it was read; stop what writes to the tree, and try again"
    )


def entries_of(directory: int) -> list[tuple[bytes, os.stat_result]]:
    """Return an open directory's names in order, each with the result of lstat(2)."""
    with os.scandir(directory) as entries:
        # The work of os.fsencode, without a call of Python's for each name.
        pairs = [
            (entry.name.encode(_ENCODING, _ERRORS), entry.stat(follow_symlinks=False))
            for entry in entries
        ]
    return sorted(pairs, key=itemgetter(0))
