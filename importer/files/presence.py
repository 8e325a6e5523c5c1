"""Look at a path: absent and unreadable are two answers.

`Path.exists()`, `is_dir()` and `is_file()` give one for both: from Python 3.14 on they return False
for any OSError.
"""

from __future__ import annotations

from stat import S_ISDIR
from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from pathlib import Path


def mode_of(path: Path) -> int | None:
    """Return the type and permissions of what a path names, None if there is nothing. Symlinks are
    followed. Raise ImporterError if that cannot be told."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ImporterError(f"{path} cannot be looked at: {error.strerror}") from error


def is_present(path: Path) -> bool:
    """Return whether the path names something. Raise ImporterError if that cannot be told."""
    return mode_of(path) is not None


def is_directory(path: Path) -> bool:
    """Return whether the path names a directory. Raise ImporterError if that cannot be told."""
    return S_ISDIR(mode_of(path) or 0)
