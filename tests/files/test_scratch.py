"""Temporary files, and machines that have no place for any."""

import tempfile
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files.scratch import scratch


def test_the_directory_is_gone_afterwards() -> None:
    with scratch() as directory:
        (directory / "file").write_text("content")
    assert not directory.exists()


def test_no_place_for_it_is_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ImporterError, match="No such file") as caught, scratch():
        pass
    assert "TMPDIR" in caught.value.hint
