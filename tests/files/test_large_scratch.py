"""Temporary directories for gigabytes: none is left for long, whoever was killed."""

import fcntl
import os
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files.large_scratch import large_scratch


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_the_directory_is_gone_afterwards(place: Path) -> None:
    with large_scratch() as directory:
        (directory / "below").mkdir()
        (directory / "below/file").write_text("content")
        assert directory.parent == place
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed(place: Path) -> None:
    for name in ("import-image-large-left", "import-image-large-held", "another"):
        (place / name).mkdir()
        (place / name / "file").touch()
    (place / "import-image-large-link").symlink_to(place / "another")
    held = os.open(place / "import-image-large-held", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with large_scratch() as one, large_scratch() as two:
        assert one.exists()
        assert two.exists()
        left = {path.name for path in place.iterdir()} - {one.name, two.name}
    assert left == {"import-image-large-held", "import-image-large-link", "another"}
    assert (place / "another/file").exists()
    os.close(held)


def test_no_place_for_it_is_an_error_with_a_hint(place: Path) -> None:
    place.rmdir()
    told = "cannot be made: No such file"
    with pytest.raises(ImporterError, match=told) as caught, large_scratch():
        pass
    assert "TMPDIR" in caught.value.hint
