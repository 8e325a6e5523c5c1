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
_PYTHON = b"python3."
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
    for path in _LIBRARIES:
        library: TreeDirectory | None = root
        for name in path.split(b"/"):
            library = library.directories.get(name) if library else None
        for name, directory in library.directories.items() if library else ():
            if name.startswith(_PYTHON):
                for one in islice(_below(directory), _DIRECTORIES):
                    cache = one.directories.get(_CACHE)
                    if cache and (
                        found := [s for n, s in cache.leaves.items() if n[-4:] == b".pyc"]
                    ):
                        return found[0]
    return None


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
