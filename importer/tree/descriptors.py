"""Open directories below a root by descriptors; no symlink on the way is followed."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.beneath import open_directory, open_file
from layers.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from layers.path import Path

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_A_ROOT = "ROOT has to be a directory that this user may read"
_AS_ROOT = "run it as root, or make the file readable for this user"
_CHANGED = "it changed while it was read; stop what writes to the tree, and try again"


class Beneath:
    """Open directories below `root`, a descriptor that the caller closes.

    The directories on the way to the last one stay open, since a walk goes to neighbours next.
    """

    def __init__(self, root: int) -> None:
        self._opened: list[tuple[bytes, int]] = [(b"", os.dup(root))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for _name, descriptor in self._opened:
            os.close(descriptor)
        self._opened = []

    def directory(self, path: Path) -> int:
        """Return a descriptor of the directory, valid until the next call. Raise OSError as
        open(2) does."""
        common = 0
        for (name, _), wanted in zip(self._opened[1:], path, strict=False):
            if name != wanted:
                break
            common += 1
        while len(self._opened) > common + 1:
            os.close(self._opened.pop()[1])
        for name in path[common:]:
            above = self._opened[-1][1]
            self._opened.append((name, open_directory(above, name)))
        return self._opened[-1][1]


def open_root(path: bytes) -> int:
    """Open a tree's root; its path may have symlinks. Raise ImporterError if it is missing."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ImporterError(f"{printable(path)}: {error.strerror}", hint=_A_ROOT) from None


def entries_of(directory: int) -> list[tuple[bytes, os.stat_result]]:
    """Return an open directory's names in order, each with what lstat(2) says."""
    with os.scandir(directory) as found:
        # What os.fsencode does, without a call of Python's for each name.
        entries = [
            (one.name.encode(_ENCODING, _ERRORS), one.stat(follow_symlinks=False)) for one in found
        ]
    return sorted(entries, key=itemgetter(0))


def read_small(name: bytes, directory: int, limit: int) -> bytes | None:
    """Return a file's content, None if there is no file. Raise ImporterError for more than
    `limit` bytes."""
    try:
        descriptor = open_file(directory, name)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ImporterError(f"{printable(name)} has more than {limit} bytes")
    return data


def changed(root: bytes, path: Path) -> ImporterError:
    """Return the error for a file or directory that has changed during the walk."""
    return ImporterError(_CHANGED, path=full(root, path))


def full(root: bytes, path: Path) -> bytes:
    """Return the whole path of what is at a path below the root."""
    return b"/".join([root.rstrip(b"/"), *path])


def shown(root: bytes, path: Path) -> str:
    """Return the same for people."""
    return printable(full(root, path))


@contextmanager
def faults(root: bytes, path: Path) -> Iterator[None]:
    """Turn an OSError into an ImporterError with the path."""
    try:
        yield
    except FileNotFoundError:
        raise changed(root, path) from None
    except PermissionError as error:
        raise ImporterError(f"{shown(root, path)}: {error.strerror}", hint=_AS_ROOT) from None
    except OSError as error:
        raise ImporterError(f"{shown(root, path)}: {error.strerror}") from None
