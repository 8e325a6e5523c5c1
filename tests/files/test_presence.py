"""Paths that are absent, and paths of which that cannot be told."""

from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files.presence import is_directory, is_present


def test_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    assert is_directory(tmp_path / "link")
    assert is_present(tmp_path / "file")
    assert not is_directory(tmp_path / "file")
    assert not is_present(tmp_path / "none")
    assert not is_present(tmp_path / "file/below")


def test_what_cannot_be_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in (("loop", "symbolic links"), ("x" * 300, "too long")):
        with pytest.raises(ImporterError, match=f"cannot be looked at: .*{reason}"):
            is_present(tmp_path / name)
