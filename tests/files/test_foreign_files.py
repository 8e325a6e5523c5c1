"""Files that somebody else may have put there: pipes, and files without end."""

import os
from pathlib import Path

import pytest

from importer.device.folder import DeviceError
from importer.errors import ImporterError
from importer.fetch.skopeo import Skopeo
from importer.fetch.skopeo_files import has_to_ask
from importer.files.foreign import ForeignDirectory, sized_pieces
from importer.files.image_lists import read_image_lists
from importer.files.oci_layout import Layout
from importer.files.replacement import open_regular
from importer.tree.journal import opened_journal
from layers.lists.detect import ListRules
from layers.oci.reference import Reference
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


def test_a_pipe_is_waited_for_nowhere(tmp_path: Path) -> None:
    """As a unit, as a list, as a layout's index, as a policy."""
    (tmp_path / "units").mkdir()
    for name in ("units/x.image", "index.json", "policy.json"):
        os.mkfifo(tmp_path / name)
    said = "x.image cannot be read: it is no regular file"
    for path in (tmp_path / "units", tmp_path / "units/x.image"):
        with pytest.raises(ImporterError, match=said):
            read_image_lists(path, ListRules())
    with pytest.raises(ImporterError, match=r"index\.json cannot be read"):
        Layout(tmp_path, "t").tagged()
    reference = Reference.parse("r.io/a:b")
    assert has_to_ask(Skopeo(policy=str(tmp_path / "policy.json")), reference)


def test_a_link_in_a_directory_of_units_shows_nothing_of_its_target(tmp_path: Path) -> None:
    secrets = {
        "shadow": "root:$y$SECRET:19000:0:::\n",
        "key": "-----BEGIN PRIVATE KEY-----\nSECRET\n",
        "words": "SECRET a b c\n",
        "yaml": "password: SECRET: SECRET\n",
    }
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
        for suffix in (".image", ".yaml"):
            units = tmp_path / f"units-{name}{suffix}"
            units.mkdir()
            (units / f"x{suffix}").symlink_to(tmp_path / name)
            with pytest.raises(ImporterError) as caught:
                read_image_lists(units, ListRules())
            assert "SECRET" not in f"{caught.value} {caught.value.hint}"


def test_a_journal_without_end(tmp_path: Path) -> None:
    path = endless(tmp_path / "journal")
    root = ForeignDirectory.named(tmp_path)
    match = f"^{path} has more than {1 << 30} bytes"
    with pytest.raises(ImporterError, match=match), opened_journal(path, root):
        pass
    root.close()


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
    with ForeignDirectory.named(tmp_path) as directory, (tmp_path / "file").open("rb") as file:
        assert b"".join(sized_pieces(file.fileno(), 10)) == b"0123456789"
        file.seek(0)
        message = rf"^{tmp_path}/file: it changed while it was read"
        with pytest.raises(ImporterError, match=message), directory.entry(b"file"):
            list(sized_pieces(file.fileno(), size))
