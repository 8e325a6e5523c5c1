"""Files that are replaced together: all, or none."""

from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files.replacement import Replacement, publish_all


def test_a_file_that_cannot_be_replaced_gives_the_others_back(tmp_path: Path) -> None:
    """Its directory is moved away after its content is written."""
    old, new, last = tmp_path / "old", tmp_path / "new", tmp_path / "d" / "last"
    last.parent.mkdir()
    for path in (old, last):
        path.write_text("before")
    old.chmod(0o640)
    with Replacement(old, b"after") as first, Replacement(new, b"after") as second, Replacement(
        last, b"after"
    ) as third:  # fmt: skip
        last.parent.rename(tmp_path / "away")
        with pytest.raises(ImporterError, match="last cannot be replaced"):
            publish_all([first, second, third])
    assert (old.read_text(), old.stat().st_mode & 0o777) == ("before", 0o640)
    assert not new.exists()
    assert (tmp_path / "away/last").read_text() == "before"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["away", "old"]
