"""Objects that we write ourselves are, to the byte, the objects that libostree writes."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from importer.errors import ImporterError
from importer.repo import new_objects, object_store
from importer.repo.new_objects import NewObjects
from importer.repo.staging import LooseObjects
from importer.repo.values import Message
from importer.repo.writer import Repo
from layers.entry import Owner
from tests.tools import ostreerepo
from tests.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Generator

type Mode = Literal["bare-user", "archive"]

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
XATTRS = ((b"security.capability", CAPABILITY), (b"user.a", b"\0\xff" * 200))
MODES = (0o644, 0o755, 0, 0o4755, 0o2711, 0o777, 0o600, 0o200, 0o111, 0o1644)


def large() -> Generator[bytes]:
    return (bytes([n]) * (1 << 20) for n in range(9))


def fill(repo: Repo) -> str:
    """A commit with all kinds of files."""
    with repo.locked():
        with repo.transaction():
            tree = repo.tree(Owner(0o755, 0, 0))
            for mode in MODES:
                plain = repo.write_file(Owner(mode, 5, 70000), b"content")
                tree.file(f"plain{mode:o}", plain)
                labelled = repo.write_file(Owner(mode, 5, 7, XATTRS), b"content" * 1000)
                tree.file(f"labelled{mode:o}", labelled)
            tree.file("empty", repo.write_file(Owner(0o644, 0, 0), b""))
            tree.file("short", repo.write_symlink(Owner(0, 1, 2), "x"))
            tree.file("long", repo.write_symlink(Owner(0, 1, 2), "é/" * 300))
            tree.file("large", repo.write_large_file(Owner(0o640, 1, 1), 9 << 20, large()))
            tree.write()
        with repo.transaction():
            commit = repo.write_commit(tree, Message("all kinds", 1))
            repo.set_ref("all", commit)
    return commit


def objects(path: Path) -> dict[str, tuple[int, int, dict[str, bytes], bytes]]:
    """Every content object's file: mode, time, xattrs and bytes; in an archive repo without
    the time, and only the header, since the rest may be deflated in more than one way."""
    found = {}
    for file in path.glob("objects/*/*.file*"):
        data = file.read_bytes()
        packed = file.suffix == ".filez"
        found[file.name] = (
            file.stat().st_mode,
            0 if packed else file.stat().st_mtime_ns,
            {name: os.getxattr(file, name) for name in os.listxattr(file)},
            data[: 8 + int.from_bytes(data[:4])] if packed else data,
        )
    return found


@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_same_as_libostree(tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ours", "libostree"):
        ostreerepo.init(tmp_path / name, mode)
    ours = fill(Repo.open(tmp_path / "ours"))
    monkeypatch.setattr(object_store, "FORMATS", {})
    assert fill(Repo.open(tmp_path / "libostree")) == ours
    assert objects(tmp_path / "ours") == objects(tmp_path / "libostree")
    ostreerepo.fsck(tmp_path / "ours")
    assert list((tmp_path / "ours" / "tmp").glob("import-image-*")) == []


def test_nothing_of_an_aborted_transaction_is_left(repo: Path) -> None:
    opened = Repo.open(repo, create=True)

    def fail() -> None:
        with opened.transaction():
            opened.write_file(Owner(0o644, 0, 0), b"content")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert objects(repo) == {}
    assert list((repo / "tmp").glob("import-image-*")) == []


def test_a_killed_import_is_cleared_away_and_a_running_one_is_not(repo: Path) -> None:
    opened = Repo.open(repo, create=True)
    (repo / "tmp" / "import-image-killed").mkdir()
    (repo / "tmp" / "import-image-killed" / "object").write_bytes(b"half")
    with opened.transaction():
        opened.write_file(Owner(0o644, 0, 0), b"content")
        other = opened.again()
        with other.transaction():
            other.write_file(Owner(0o644, 0, 0), b"other")
            assert len(list((repo / "tmp").glob("import-image-*"))) == 2
    assert len(objects(repo)) == 2


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked"])
def test_a_directory_that_another_import_cleared_away_is_made_anew(
    repo: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    cleared: list[Path] = []
    make, lock = tempfile.mkdtemp, fcntl.flock

    def clear() -> None:
        if not cleared:
            cleared.extend((repo / "tmp").glob("import-image-*"))
            cleared[0].rmdir()

    def mkdtemp(**options: Any) -> str:
        made: str = make(**options)
        if moment == "before it is opened":
            clear()
        return made

    def flock(descriptor: int, how: int) -> None:
        if moment == "before it is locked":
            clear()
        lock(descriptor, how)

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    monkeypatch.setattr(fcntl, "flock", flock)
    opened = Repo.open(repo)
    with opened.transaction():
        checksum = opened.write_file(Owner(0o644, 0, 0), b"x")
    assert cleared
    assert b"".join(opened.content(checksum)) == b"x"


def test_a_commit_cannot_name_files_that_are_not_in_place(repo: Path) -> None:
    opened = Repo.open(repo, create=True)
    with opened.transaction():
        tree = opened.tree(Owner(0o755, 0, 0))
        tree.file("a", opened.write_file(Owner(0o644, 0, 0), b"content"))
        tree.write()
        with pytest.raises(RuntimeError):
            opened.write_commit(tree, Message("too early", 1))


@pytest.mark.root
def test_the_room_that_the_repo_leaves_free_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever else has taken the rest."""
    monkeypatch.setattr(new_objects, "_LOOK", 1000)
    run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path])
    try:
        repo = ostreerepo.init(tmp_path / "repo", "bare-user")
        loose = LooseObjects(repo, "bare-user", reserved=4 << 20)
        owner = Owner(0o644, 0, 0)
        loose.new.write_file(owner, b"x" * 2000)
        (tmp_path / "other").write_bytes(b"x" * (5 << 20))
        with pytest.raises(ImporterError, match="no more room"):
            loose.new.write_file(owner, b"y" * 2000)
        loose.close()
    finally:
        run(["umount", "--lazy", tmp_path])


@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_a_file_can_be_read_before_it_is_in_place(tmp_path: Path, mode: Mode) -> None:
    ostreerepo.init(tmp_path / "repo", mode)
    opened = Repo.open(tmp_path / "repo")
    with opened.transaction():
        checksum = opened.write_file(Owner(0o644, 0, 0), b"content" * 1000)
        assert b"".join(opened.content(checksum)) == b"content" * 1000
    assert b"".join(opened.content(checksum)) == b"content" * 1000


def test_a_file_can_be_read_when_its_directory_was_full_and_is_moved(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_objects, "FULL", 3)
    Repo.open(repo, create=True)
    owner = Owner(0o644, 0, 0)
    with LooseObjects(repo, "bare-user", 0) as loose:
        new = NewObjects(loose.new_place(), 0o777, loose.publish_full)
        written = [new.write_file(owner, b"%d" % number) for number in range(8)]
        assert len(objects(repo)) == 6
        assert [new.has_written(checksum) for checksum in written] == [False] * 6 + [True] * 2
        assert [b"".join(new.content(one)) for one in written] == [b"%d" % n for n in range(8)]
        assert new.write_file(owner, b"0") == written[0]
        assert new.written_bytes == 8
        new.close()


@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_a_file_is_read_in_small_pieces_however_well_it_is_packed(
    tmp_path: Path, mode: Mode
) -> None:
    """Gigabytes of zeros are in a megabyte of an archive repo's file."""
    ostreerepo.init(tmp_path / "repo", mode)
    opened = Repo.open(tmp_path / "repo")
    zeros = (bytes(1 << 20) for _ in range(20))
    with opened.transaction():
        checksum = opened.write_large_file(Owner(0o644, 0, 0), 20 << 20, zeros)
        sizes = [len(piece) for piece in opened.content(checksum)]
    assert (sum(sizes), max(sizes)) == (20 << 20, 1 << 20)
