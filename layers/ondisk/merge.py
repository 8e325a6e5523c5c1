"""Several trees in one commit: a later tree lies over the earlier ones, as in `ostree commit`.

Source: ostree's src/libostree/ostree-mutable-tree.c: directories merge and take the later tree's
owner, files replace files, and neither replaces the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.path import joined
from layers.whiteout import quoted

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from layers.path import Path
    from layers.tree.translate import Settled

_HINT = "leave one of the two out, with --skip-list or by another tree"


def merge(under: Settled, over: Settled) -> None:
    """Add the tree `over` to the tree `under`; LayerError, with the path, for a collision."""
    work: list[tuple[Path, Settled, Settled]] = [((), under, over)]
    while work:
        path, below, above = work.pop()
        _check_kinds(path, below, above)
        below.meta = above.meta
        below.leaves.update(above.leaves)
        below.whiteouts = sorted({*below.whiteouts, *above.whiteouts})
        for name, directory in above.directories.items():
            present = below.directories.setdefault(name, directory)
            if present is not directory:
                work.append(((*path, name), present, directory))
        names = {*below.leaves, *below.directories}
        check_whiteouts(path, below.whiteouts, names)


def _check_kinds(path: Path, below: Settled, above: Settled) -> None:
    for name in above.leaves.keys() & below.directories.keys():
        raise _collision(path, name, "a file cannot replace the directory of an earlier tree")
    for name in above.directories.keys() & below.leaves.keys():
        raise _collision(path, name, "a directory cannot replace the file of an earlier tree")


def check_collisions(root: Settled) -> None:
    """Raise LayerError, with the path, where a tree has a name and deletes it, too."""
    work: list[tuple[Path, Settled]] = [((), root)]
    while work:
        path, directory = work.pop()
        if directory.whiteouts:
            names = {*directory.leaves, *directory.directories, *directory.stored}
            check_whiteouts(path, directory.whiteouts, names)
        work += [((*path, name), one) for name, one in directory.directories.items()]


def check_whiteouts(path: Path, whiteouts: Iterable[bytes], names: Container[bytes]) -> None:
    """Raise LayerError where a name is both deleted and there: ostree could not deploy that."""
    for name in whiteouts:
        if name in names:
            message = f"the name is there, and deleted by a whiteout ({quoted(name).decode()})"
            raise _collision(path, name, message)


def _collision(path: Path, name: bytes, message: str) -> LayerError:
    return LayerError(message, path=joined((*path, name)), hint=_HINT)
