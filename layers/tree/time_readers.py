"""Find programs in a layer that look at the times or links of files, which ostree does not keep.

They are told by paths, and Python by the header of one .pyc file: PEP 552, "Specification".
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from layers.tree.lower import find_leaf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.tree.lower import TreeDirectory

PYTHON = "Python, for its .pyc files,"
# Of cron and cronie; busybox's crond, which every Alpine image has, does not look at times.
_PROGRAMS = {
    "cron": (b"usr/sbin/cron", b"etc/pam.d/crond"),
    "nginx": (b"usr/sbin/nginx",),
    "make": (b"usr/bin/make",),
}
_LIBRARIES = (b"usr/lib", b"usr/lib64", b"usr/local/lib", b"usr/local/lib64")
_PYTHON = b"python3"
_CACHE = b"__pycache__"
# The directories of a Python to look into: its own library has fewer.
_DIRECTORIES = 500
_FLAGS = slice(4, 8)


def time_readers(root: TreeDirectory) -> tuple[str, ...]:
    """Return the programs in a layer, without Python."""
    return tuple(
        name
        for name, paths in _PROGRAMS.items()
        if any(find_leaf(root, tuple(path.split(b"/"))) for path in paths)
    )


def find_pyc(root: TreeDirectory) -> str | None:
    """Return the checksum of one .pyc file in the libraries of Python, or None."""
    found = (
        checksum
        for library in _LIBRARIES
        for python in _pythons(root, library)
        for directory in islice(_below(python), _DIRECTORIES)
        if (cache := directory.directories.get(_CACHE)) is not None
        for name, checksum in cache.leaves.items()
        if name.endswith(b".pyc")
    )
    return next(found, None)


def _pythons(root: TreeDirectory, library: bytes) -> list[TreeDirectory]:
    """Return the directories of Python's versions in a library."""
    node: TreeDirectory | None = root
    for name in library.split(b"/"):
        node = node.directories.get(name) if node else None
    below = node.directories.items() if node else ()
    return [one for name, one in below if name.startswith(_PYTHON)]


def has_time(pyc: bytes) -> bool:
    """Return whether a .pyc file, of which this is the beginning, has the time of its source."""
    return pyc[_FLAGS] == bytes(4)


def _below(directory: TreeDirectory) -> Iterator[TreeDirectory]:
    """Yield a directory and all below it, but for caches."""
    work = [directory]
    while work:
        one = work.pop()
        yield one
        work.extend(below for name, below in one.directories.items() if name != _CACHE)
