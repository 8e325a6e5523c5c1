"""Check after a walk that its directories are as they were."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from importer.tree.descriptors import changed, faults
from importer.tree.file_batch import seen
from layers.path import joined

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.tree.file_batch import Seen
    from layers.path import Path


def check_unchanged(root: bytes, descriptor: int, states: Iterable[tuple[Path, Seen]]) -> None:
    """Raise ImporterError if a directory has changed since the walk; `states` has all of them.

    A symlink on the way needs no attention: who put it there has changed the directory above.
    """
    for path, before in states:
        with faults(root, path):
            now = os.stat(joined(path), dir_fd=descriptor, follow_symlinks=False) if path else None
            if seen(now or os.fstat(descriptor)) != before:
                raise changed(root, path)
