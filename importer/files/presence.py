"""Tell an absent path from an unreadable one.

`Path.exists()`, `is_dir()` and `is_file()` do not: from Python 3.14 on they return False for any
OSError.
"""

from __future__ import annotations

from stat import S_ISDIR
from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from pathlib import Path


def mode_of(path: Path) -> int | None:
    """Return the type and permissions of the file at a path, None if it is absent. Follow symlinks.
    Raise ImporterError if the path cannot be looked at."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ImporterError(f"{path} cannot be looked at: {error.strerror}") from error


def is_present(path: Path) -> bool:
    """Return whether the path exists. Raise ImporterError if it cannot be looked at."""
    return mode_of(path) is not None


def is_directory(path: Path) -> bool:
    """Return whether the path is a directory. Raise ImporterError if it cannot be looked at."""
    return S_ISDIR(mode_of(path) or 0)
