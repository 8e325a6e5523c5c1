"""Temporary directories: none is left for long, whoever was killed."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files.scratch import clear_abandoned_scratch, scratch


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.mark.parametrize("large", [False, True])
def test_the_directory_is_gone_afterwards(place: Path, large: bool) -> None:
    with scratch(large=large) as directory:
        (directory / "below").mkdir()
        (directory / "below/file").write_text("content")
        assert directory.parent == place
        clear_abandoned_scratch()
        assert (directory / "below/file").exists()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed(place: Path) -> None:
    for name in ("import-image-scratch-left", "import-image-scratch-held", "another"):
        (place / name).mkdir()
        (place / name / "file").touch()
    (place / "import-image-scratch-link").symlink_to(place / "another")
    held = os.open(place / "import-image-scratch-held", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    clear_abandoned_scratch()
    left = {path.name for path in place.iterdir()}
    assert left == {"import-image-scratch-held", "import-image-scratch-link", "another"}
    assert (place / "another/file").exists()
    os.close(held)


@pytest.mark.parametrize("large", [False, True])
def test_no_place_for_it_is_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ImporterError, match="No such file") as caught, scratch(large=large):
        pass
    assert "TMPDIR" in caught.value.hint
