"""A directory for files that other programs are to read, for a moment."""

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
    """The directory, gone afterwards; ImporterError if it, or a file in it, cannot be made."""
    try:
        with TemporaryDirectory(prefix="import-image-") as name:
            yield Path(name)
    except OSError as error:
        raise ImporterError(
            f"a temporary file cannot be written: {error.strerror}",
            hint="TMPDIR may name a directory that has room",
        ) from error
