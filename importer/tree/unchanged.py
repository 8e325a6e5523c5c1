"""Check after a walk that its directories are as they were."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from importer.tree.descriptors import Beneath, changed, faults
from importer.tree.file_batch import seen
from layers.path import joined

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.tree.file_batch import Seen
    from layers.path import Path

_PATH_MAX = 4096  # include/uapi/linux/limits.h; a tree may be deeper


def check_unchanged(root: bytes, descriptor: int, states: Iterable[tuple[Path, Seen]]) -> None:
    """Raise ImporterError if a directory has changed since the walk; `states` has all of them.

    Symlinks on the way need no check: putting one there has changed the directory above it.
    """
    with Beneath(descriptor) as beneath:
        for path, before in states:
            with faults(root, path):
                if seen(_status(beneath, descriptor, path)) != before:
                    raise changed(root, path)


def _status(beneath: Beneath, root: int, path: Path) -> os.stat_result:
    name = joined(path)
    if 0 < len(name) < _PATH_MAX:
        return os.stat(name, dir_fd=root, follow_symlinks=False)
    return os.fstat(beneath.directory(path))
