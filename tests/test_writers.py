"""Objects that other processes write are those that libostree writes; and what if one dies."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer import loose
from importer import repo as repo_module
from importer.errors import ImporterError
from importer.repo import Repo
from importer.writers import Writers
from layers.entry import Owner
from tests.test_loose import MODES, XATTRS, Mode, objects
from tests.tools import ostreerepo
from tests.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Writers]:
    """Used from the first file on."""
    monkeypatch.setattr(loose, "_FEW", 0)
    running = Writers()
    yield running
    running.close()


def batches() -> list[list[tuple[Owner, str, bytes]]]:
    """Files and symlinks of all kinds, some of them twice."""
    plain = [(Owner(mode, 5, 70000), "", b"content %o" % mode) for mode in MODES]
    labelled = [(Owner(mode, 5, 7, XATTRS), "", b"content" * 100_000) for mode in MODES]
    links = [(Owner(0, 1, 2), target, b"") for target in ("x", "é/" * 300)]
    empty = [(Owner(0o644, 0, 0), "", b"")]
    return [
        plain,
        labelled,
        links,
        empty,
        plain[:3] + empty,
        [(Owner(0o600, 0, 0), "", b"x" * 5_000_000)],
    ]


def fill(repo: Repo) -> list[list[str]]:
    with repo.locked(), repo.transaction():
        return [repo.write_files(batch) for batch in batches()]


def modes_of_directories(repo: Path) -> set[int]:
    """Of those that objects are in; a repo's users and its web server go by them."""
    return {directory.stat().st_mode for directory in repo.glob("objects/??")}


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_same_as_libostree(
    tmp_path: Path, mode: Mode, umask: int, writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(umask)
    try:
        for name in ("theirs", "ours", "libostree"):
            ostreerepo.init(tmp_path / name, mode)
        theirs = fill(Repo.open(tmp_path / "theirs").again(writers))
        assert fill(Repo.open(tmp_path / "ours")) == theirs
        monkeypatch.setattr(repo_module, "FORMATS", {})
        assert fill(Repo.open(tmp_path / "libostree")) == theirs
    finally:
        os.umask(before)
    found = objects(tmp_path / "theirs")
    assert found == objects(tmp_path / "ours")
    assert found == objects(tmp_path / "libostree")
    directories = modes_of_directories(tmp_path / "libostree")
    assert modes_of_directories(tmp_path / "theirs") == directories == {0o40777 & ~umask}
    ostreerepo.fsck(tmp_path / "theirs")
    assert list((tmp_path / "theirs" / "tmp").glob("import-image-*")) == []


def test_what_the_repo_has_is_not_written_again(tmp_path: Path, writers: Writers) -> None:
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    first, again = Repo.open(path).again(writers), Repo.open(path).again(writers)
    assert fill(first) == fill(again)
    assert first.written_bytes > 5_000_000
    assert again.written_bytes == 0


@pytest.mark.parametrize("size", [1, 5_000_000])
def test_a_process_that_was_killed_is_an_error_of_one_line(
    tmp_path: Path, writers: Writers, size: int
) -> None:
    """Whether it dies before it is asked or while it is; nothing of it stays in the repo."""
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    with writers.lent() as writer:
        os.kill(writer._server._child.pid, 9)
    repo = Repo.open(path).again(writers)
    with pytest.raises(ImporterError, match="ended with status -9") as caught, repo.transaction():
        repo.write_files([(Owner(0o644, 0, 0), "", b"x" * size)])
    assert "\n" not in str(caught.value)
    assert "memory" in caught.value.hint
    assert list(path.glob("objects/*/*")) == []
    assert list((path / "tmp").glob("import-image-*")) == []


@pytest.mark.parametrize("descriptors", [2, 4, 5, 6, 8])
def test_one_that_cannot_be_started_leaves_no_descriptor_open(
    tmp_path: Path, writers: Writers, monkeypatch: pytest.MonkeyPatch, descriptors: int
) -> None:
    """For want of descriptors, or, with enough of them, of the program."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", "bare-user")).again(writers)
    before = open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 1 + descriptors, hard))
    try:
        with pytest.raises((OSError, ImporterError)), writers.lent():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # Not equal: what earlier tests have left to the garbage collector may go meanwhile.
    assert open_descriptors().items() <= before.items()
    with pytest.raises(ImporterError, match="none is not installed") as caught, repo.transaction():
        repo.write_files([(Owner(0o644, 0, 0), "", b"x")])
    assert "\n" not in str(caught.value)


def test_one_that_may_not_be_started_is_an_error_of_one_line(
    tmp_path: Path, writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text("")
    program.chmod(0o644)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(ImporterError) as caught, writers.lent():
        pass
    assert str(caught.value) == f"{program} cannot be started: Permission denied"


def open_descriptors() -> dict[int, str]:
    """Ours, and what they lead to."""
    found = {}
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that this is read through
            found[int(one.name)] = str(one.readlink())
    return found


@pytest.mark.root
def test_a_full_disk_is_told_as_the_system_tells_it(tmp_path: Path, writers: Writers) -> None:
    place = tmp_path / "small"
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place])
    try:
        repo = Repo.open(ostreerepo.init(place / "repo", "bare-user")).again(writers)
        with pytest.raises(ImporterError, match="No space left") as caught, repo.transaction():
            repo.write_files([(Owner(0o644, 0, 0), "", b"x" * 5_000_000)])
        assert "min-free-space" in caught.value.hint
    finally:
        run(["umount", "--lazy", place])  # the repo is still open
