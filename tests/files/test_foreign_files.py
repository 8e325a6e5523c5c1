"""Files that somebody else may have put there: pipes, and files without end."""

import os
from pathlib import Path

import pytest

from importer.device.folder import DeviceError
from importer.errors import ImporterError
from importer.files.replacement import open_regular
from importer.graphroot.files import sized_pieces
from importer.tree.journal import opened_journal
from tests.tools.ownstorage import healed

TERABYTE = 1 << 40


def endless(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(TERABYTE)
    return path


def test_a_pipe_in_a_foreign_directory_is_no_file(tmp_path: Path) -> None:
    """Opened as a file is, it would wait for a writer."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is no regular file"):
        open_regular(tmp_path / "pipe")


def test_a_journal_without_end(tmp_path: Path) -> None:
    path = endless(tmp_path / "journal")
    root = os.open(tmp_path, os.O_RDONLY)
    match = f"^{path} has more than {1 << 30} bytes"
    with pytest.raises(ImporterError, match=match), opened_journal(path, (b"/root", root)):
        pass
    os.close(root)


def test_a_storage_without_end(tmp_path: Path) -> None:
    path = endless(tmp_path / "overlay-images" / "images.json")
    for lock in (path.with_name("images.lock"), tmp_path / "overlay-layers" / "layers.lock"):
        lock.parent.mkdir(exist_ok=True)
        lock.touch()
    with pytest.raises(DeviceError, match=f"^{path} has more than {16 << 20} bytes"):
        healed(tmp_path)


@pytest.mark.parametrize("size", [0, 9, 11])
def test_a_file_that_grows_or_shrinks_while_it_is_read(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with (tmp_path / "file").open("rb") as file:
        assert b"".join(sized_pieces(file.fileno(), 10, b"file")) == b"0123456789"
        file.seek(0)
        with pytest.raises(ImporterError, match=r"^file changed while it was read"):
            list(sized_pieces(file.fileno(), size, b"file"))
