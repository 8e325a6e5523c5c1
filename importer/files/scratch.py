"""Provide a temporary directory for files that other programs read."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterator

# file-hierarchy(7): on a disk, and no less than the machine has room for.
_LARGE = "/var/tmp"  # noqa: S108 - TemporaryDirectory makes a private directory in it


@contextmanager
def scratch(*, large: bool = False) -> Iterator[Path]:
    """Yield the directory, and remove it afterwards.

    Large files go to /var/tmp, as skopeo's and podman's do, since /tmp may be in memory; TMPDIR
    has the last word. Raise ImporterError if it, or a file in it, cannot be written.
    """
    try:
        where = os.environ.get("TMPDIR") or _LARGE if large else None
        with TemporaryDirectory(prefix="import-image-", dir=where) as name:
            yield Path(name)
    except OSError as error:
        raise ImporterError(
            f"a temporary file cannot be written: {error.strerror}",
            hint="TMPDIR may name a directory that has room",
        ) from error
