"""Read the files of --statoverride and --skip-list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.replacement import read_file
from layers.errors import LayerError
from layers.ondisk.path_lists import StatOverride, parse_skip_list, parse_statoverride

if TYPE_CHECKING:
    from pathlib import Path

# A line for each file of a large operating system is far less.
_LIMIT = 64 << 20


def read_statoverride(path: Path | None) -> StatOverride:
    """Read the file. Raise ImporterError if it cannot be read, or a line is malformed."""
    if path is None:
        return StatOverride()
    try:
        return parse_statoverride(read_file(path, _LIMIT))
    except LayerError as error:
        raise ImporterError(
            f"{path}: {error}", hint="it has lines as for `ostree commit --statoverride`"
        ) from None


def read_skip_list(path: Path | None) -> frozenset[bytes]:
    """Read the file. Raise ImporterError if it cannot be read."""
    return parse_skip_list(read_file(path, _LIMIT)) if path is not None else frozenset()
