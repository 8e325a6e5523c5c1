"""Files that are replaced as a whole: what is left of one whose process was killed, and when."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files import atomic
from importer.files.replacement import Replacement
from tests.tools.process import Argument

#: Says when it has written, and then waits to be killed.
WRITING = """
import os, sys
from pathlib import Path
from importer.files import atomic
from importer.files.replacement import Replacement
from tests.tools.process import Argument
atomic._UNNAMED = {flag}
with Replacement(Path(sys.argv[1]), b"new"):
    print(flush=True)
    sys.stdin.read()
"""
#: Of a file system that has no O_TMPFILE: what open(2) answers a kernel that does not know it.
FLAGS = [os.O_TMPFILE, os.O_DIRECTORY]


@pytest.fixture(params=FLAGS, ids=["O_TMPFILE", "none"])
def flag(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How a file without a name is asked for."""
    monkeypatch.setattr(atomic, "_UNNAMED", request.param)
    return int(request.param)


@pytest.fixture
def writing(flag: int, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is about to replace the file `old`."""
    (tmp_path / "old").write_bytes(b"old")
    argv: list[Argument] = [sys.executable, "-c", WRITING.format(flag=flag), tmp_path / "old"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        yield child
        child.kill()


def names(where: Path) -> list[str]:
    """What is in the directory."""
    return sorted(path.name for path in where.iterdir())


def replace(path: Path) -> None:
    """With other content, of which nothing but the file itself is to be left."""
    with Replacement(path, b"newer") as new:
        assert new.publish()
    assert path.read_bytes() == b"newer"


def test_a_file_has_no_name_before_it_is_complete(
    flag: int, writing: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert len(names(tmp_path)) == (1 if flag == os.O_TMPFILE else 2)
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    assert (tmp_path / "old").read_bytes() == b"old"
    replace(tmp_path / "other")
    assert names(tmp_path) == ["old", "other"]


def test_what_a_running_process_has_is_left_alone(
    writing: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    replace(tmp_path / "old")
    before = names(tmp_path)
    replace(tmp_path / "other")
    assert names(tmp_path) == sorted([*before, "other"])
    writing.communicate(b"")
    assert writing.returncode == 0
    assert names(tmp_path) == ["old", "other"]


def test_one_that_was_killed_while_it_gave_the_name(tmp_path: Path) -> None:
    """The only moment at which something is left, where there is O_TMPFILE."""
    with atomic.new_file(tmp_path) as new:
        left = new._linked()
    assert names(tmp_path) == [left.name]
    replace(tmp_path / "file")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("exclusive", [False, True], ids=["shared", "exclusive"])
def test_nothing_is_removed_but_what_is_certainly_abandoned(
    tmp_path: Path, *, exclusive: bool
) -> None:
    (tmp_path / ".import-image-notes").write_text("mine")
    (tmp_path / ".import-image-d.tmp").mkdir()
    (tmp_path / ".import-image-l.tmp").symlink_to(".import-image-notes")
    os.mkfifo(tmp_path / ".import-image-p.tmp")
    held = tmp_path / ".import-image-h.tmp"
    with held.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        before = names(tmp_path)
        replace(tmp_path / "file")
        assert names(tmp_path) == sorted([*before, "file"])
    replace(tmp_path / "another")
    rest = [name for name in before if name != held.name]
    assert names(tmp_path) == sorted([*rest, "another", "file"])


@pytest.mark.root
def test_what_another_user_has_left_stays(tmp_path: Path) -> None:
    foreign = tmp_path / ".import-image-f.tmp"
    foreign.write_text("")
    os.chown(foreign, 65534, 65534)
    replace(tmp_path / "file")
    assert foreign.exists()


def test_a_file_keeps_its_permissions_and_a_new_one_has_the_umasks(
    flag: int, tmp_path: Path
) -> None:
    assert flag
    (tmp_path / "old").write_bytes(b"")
    (tmp_path / "old").chmod(0o640)
    before = os.umask(0o027)
    try:
        replace(tmp_path / "old")
        replace(tmp_path / "new")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("old", "new")] == [0o640, 0o640]


def test_what_could_not_be_written_is_gone(
    flag: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert flag

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImporterError, match="cannot be written: No space"):
        replace(tmp_path / "file")
    assert names(tmp_path) == []
