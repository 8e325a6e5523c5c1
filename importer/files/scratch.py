"""Provide a temporary directory for files that other programs read."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield the directory, and remove it afterwards.

    Raise ImporterError if it, or a file in it, cannot be written.
    """
    try:
        with TemporaryDirectory(prefix="import-image-") as name:
            yield Path(name)
    except OSError as error:
        raise ImporterError(
            f"a temporary file cannot be written: {error.strerror}",
            hint="TMPDIR may name a directory that has room",
        ) from error
