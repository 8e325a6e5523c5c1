"""Report what is left out of layers' trees: device nodes, xattrs, and the times of files that some
programs look at."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from importer.cache.branches import layer_branch
from importer.repo.commit_keys import DROPPED_XATTRS
from layers.frozen import frozen
from layers.tree.lower import find_leaf
from layers.words import first_of, several

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from importer.cache.layer import LayerCommit
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from layers.tree.lower import TreeDirectory

_PYTHON = "Python, for its .pyc files,"
# Of cron and cronie; busybox's crond, which every Alpine image has, does not look at times.
_PROGRAMS = {
    "cron": (b"usr/sbin/cron", b"etc/pam.d/crond"),
    "nginx": (b"usr/sbin/nginx",),
    "make": (b"usr/bin/make",),
}
_LIBRARIES = (b"usr/lib", b"usr/lib64", b"usr/local/lib", b"usr/local/lib64")
_PYTHON_NAME = b"python3"
_CACHE = b"__pycache__"
# The most directories of a Python to look into: its own library has fewer.
_DIRECTORIES = 500
_FLAGS = slice(4, 8)  # of a .pyc file's header: PEP 552, "Specification"


@frozen
class LeftOut:
    """How many device nodes and how many xattrs of a layer were left out."""

    device_nodes: int  # number of device nodes that were left out
    dropped_xattrs: int  # number of xattrs that were left out

    @classmethod
    def of(cls, layer: LayerCommit) -> LeftOut:
        xattrs = int(layer.commit.metadata.get(DROPPED_XATTRS, 0))
        return cls(layer.devices + layer.stray_devices, xattrs)


def tell_left_out(
    layers: Mapping[str, LayerCommit], fetched: Collection[str], progress: Progress
) -> None:
    """Report in one line what is left out of the fetched layers. `fetched` has their ids."""
    new = [LeftOut.of(layer) for layer_id, layer in layers.items() if layer_id in fetched]
    affected = sum(left_out != LeftOut(0, 0) for left_out in new)
    if not affected:
        return
    counts = (
        (sum(left_out.device_nodes for left_out in new), "device node"),
        (sum(left_out.dropped_xattrs for left_out in new), "extended attribute"),
    )
    parts = [several(count, noun) for count, noun in counts if count]
    progress.message(f"left out of {several(affected, 'layer')}: {', '.join(parts)}")


def tell_time_readers(repo: Repo, images: Mapping[str, Iterable[str]], progress: Progress) -> None:
    """Report in one line each program that is in a layer. `images` has the names of the images
    by layer id."""
    programs: dict[str, set[str]] = {}
    for layer_id, names in images.items():
        for program in _programs(repo, layer_id):
            programs.setdefault(program, set()).update(names)
    for program, names in sorted(programs.items()):
        progress.message(
            f"ostree stores no times of files, and {program} looks at them:"
            f" {first_of(sorted(names))}"
        )


def _programs(repo: Repo, layer_id: str) -> tuple[str, ...]:
    root = repo.root(repo.head(layer_branch(layer_id)))
    programs = _without_python(root)
    pyc = _find_pyc(root)
    # A symlink's object has no content.
    if pyc is None or repo.file(pyc).target is not None:
        return programs
    beginning = next(iter(repo.content(pyc)), b"")
    has_time = beginning[_FLAGS] == bytes(4)
    return (*programs, *([_PYTHON] if has_time else []))


def _without_python(root: TreeDirectory) -> tuple[str, ...]:
    """Return the programs in a layer, without Python, by their paths."""
    return tuple(
        name
        for name, paths in _PROGRAMS.items()
        if any(find_leaf(root, tuple(path.split(b"/"))) for path in paths)
    )


def _find_pyc(root: TreeDirectory) -> str | None:
    """Return the checksum of a .pyc file in the libraries of Python, or None."""
    checksums = (
        checksum
        for library in _LIBRARIES
        for python in _pythons(root, library)
        for directory in islice(_below(python), _DIRECTORIES)
        if (cache := directory.directories.get(_CACHE)) is not None
        for name, checksum in cache.leaves.items()
        if name.endswith(b".pyc")
    )
    return next(checksums, None)


def _pythons(root: TreeDirectory, library: bytes) -> list[TreeDirectory]:
    """Return the directories of Python's versions in a library."""
    node: TreeDirectory | None = root
    for name in library.split(b"/"):
        node = node.directories.get(name) if node else None
    below = node.directories.items() if node else ()
    return [child for name, child in below if name.startswith(_PYTHON_NAME)]


def _below(directory: TreeDirectory) -> Iterator[TreeDirectory]:
    """Yield a directory and all directories below, without caches."""
    work = [directory]
    while work:
        here = work.pop()
        yield here
        work.extend(below for name, below in here.directories.items() if name != _CACHE)
