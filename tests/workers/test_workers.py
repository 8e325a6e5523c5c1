"""Layers that other processes read are those that we would; and what if one dies."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer.errors import FetchError, ImporterError
from importer.ingest.job import Sealed
from importer.ingest.object_writer import ObjectWriter
from importer.repo import new_objects, object_store
from importer.repo.writer import Repo
from importer.workers.pool import Workers
from importer.workers.tasks import lent_worker, run_job
from layers.entry import Entry, Kind, Owner
from layers.errors import LayerError
from layers.ostree.objects import Stored
from layers.tree.builder import LayerTree
from layers.tree.node import Directory, Gap, Leaf
from layers.tree.read_layer import ReadLayer
from tests.repo.test_loose import MODES, XATTRS, Mode, objects
from tests.tools import ostreerepo
from tests.tools.pipe import fed
from tests.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.progress import Advance
    from importer.workers.job import Store
    from layers.chunks import Chunks


@pytest.fixture
def workers() -> Iterator[Workers]:
    running = Workers(Sealed.__module__)
    yield running
    running.close()


@dataclass(frozen=True)
class One:
    """A file or symlink of a layer that needs no tar."""

    owner: Owner
    target: bytes
    data: bytes

    def whole(self) -> bytes:
        return self.data

    def content(self) -> Chunks:
        return iter([self.data[: len(self.data) // 2], self.data[len(self.data) // 2 :]])

    def entry(self, path: bytes) -> Entry:
        kind = Kind.SYMLINK if self.target else Kind.FILE
        return Entry(path, kind, self.owner, len(self.data), self.target)


def files() -> list[One]:
    """Files and symlinks of all kinds, some of them twice."""
    plain = [One(Owner(mode, 5, 70000), b"", b"content %o" % mode) for mode in MODES]
    labelled = [One(Owner(mode, 5, 7, XATTRS), b"", b"content" * 100_000) for mode in MODES]
    links = [One(Owner(0, 1, 2), target, b"") for target in (b"x", "é/".encode() * 300)]
    empty = One(Owner(0o644, 0, 0), b"", b"")
    large = One(Owner(0o600, 0, 0), b"", b"x" * 5_000_000)
    return [*plain, *labelled, *links, empty, *plain[:3], empty, large]


@dataclass(frozen=True)
class FilesJob:
    """Writes files into a directory; then the layer may turn out to be wrong."""

    files: tuple[One, ...]
    error: LayerError | None = None

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:  # noqa: ARG002
        tree = LayerTree()
        tree.add(Entry(b"d", Kind.DIRECTORY, Owner(0o755, 0, 0)))
        with ObjectWriter(store) as writer:
            for number, one in enumerate(self.files):
                entry = one.entry(b"d/%d" % number)
                leaf = tree.add(entry)
                assert leaf is not None
                writer.add(leaf, entry, one)
                advance(entry.size)
        if self.error is not None:
            raise self.error
        return ReadLayer(tree, 0, 0, None)


@dataclass(frozen=True)
class FailingJob:
    error: Exception

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:  # noqa: ARG002
        raise self.error


@dataclass(frozen=True)
class DrainingJob:
    """Reads its descriptor to the end; what came is the layer's record."""

    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:  # noqa: ARG002
        found = b""
        while piece := os.read(source, 10):
            found += piece
            advance(1 << 20)
        return ReadLayer(LayerTree(), 0, 0, found)


type Job = FilesJob | FailingJob | DrainingJob | DeepJob


def nothing(_: int) -> None:
    """Progress is of no interest."""


def read(
    repo: Repo,
    job: Job,
    workers: Workers | None,
    source: int = -1,
    advance: Callable[[int], None] = nothing,
) -> ReadLayer:
    """In a process if there are any, and here if not."""
    with repo.locked(), repo.transaction():
        if workers is None:
            return run_job(repo, None, job, source, advance)
        with lent_worker(repo, workers) as worker:
            return run_job(repo, worker, Sealed(job), source, advance, repo.publish_early)


def checksums(layer: ReadLayer) -> list[str]:
    """Of the layer's files, as far as they are in its tree."""
    directory = layer.tree.root.entries[b"d"]
    assert isinstance(directory, Directory)
    return [node.checksum for node in directory.entries.values() if isinstance(node, Leaf)]


def modes_of_directories(repo: Path) -> set[int]:
    """Of those that objects are in; a repo's users and its web server go by them."""
    return {directory.stat().st_mode for directory in repo.glob("objects/??")}


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_same_as_libostree(
    tmp_path: Path, mode: Mode, umask: int, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory's own objects besides, which libostree has to write later."""
    job = FilesJob(tuple(files()))
    before = os.umask(umask)
    try:
        for name in ("theirs", "ours", "libostree"):
            ostreerepo.init(tmp_path / name, mode)
        sealed = read(Repo.open(tmp_path / "theirs"), job, workers).tree.root.entries[b"d"]
        ours = read(Repo.open(tmp_path / "ours"), job, None)
        monkeypatch.setattr(object_store, "FORMATS", {})
        opened = Repo.open(tmp_path / "libostree")
        assert checksums(read(opened, job, None)) == checksums(ours)
        with opened.locked(), opened.transaction():
            tree = opened.tree(Owner(0o755, 0, 0))
            for number, checksum in enumerate(checksums(ours)):
                tree.file(str(number), checksum)
            assert Stored(*tree.write()) == sealed
    finally:
        os.umask(before)
    found = objects(tmp_path / "theirs")
    assert found == objects(tmp_path / "ours")
    assert found == objects(tmp_path / "libostree")
    assert metadata(tmp_path / "theirs") == metadata(tmp_path / "libostree")
    directories = modes_of_directories(tmp_path / "libostree")
    assert modes_of_directories(tmp_path / "theirs") == directories == {0o40777 & ~umask}
    ostreerepo.fsck(tmp_path / "theirs")
    assert list((tmp_path / "theirs" / "tmp").glob("import-image-*")) == []


def metadata(repo: Path) -> dict[str, tuple[int, list[str], bytes]]:
    """Every directory object's file: mode, xattrs and bytes."""
    return {
        file.name: (file.stat().st_mode, os.listxattr(file), file.read_bytes())
        for file in repo.glob("objects/*/*.dir*")
    }


def test_what_the_repo_has_is_not_written_again(tmp_path: Path, workers: Workers) -> None:
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    first, again = Repo.open(path).again(), Repo.open(path).again()
    job = FilesJob(tuple(files()))
    assert (
        read(first, job, workers).tree.root.entries == read(again, job, workers).tree.root.entries
    )
    assert first.written_bytes > 5_000_000
    assert again.written_bytes == 0


def test_many_files_go_into_several_directories(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And come out of all of them."""
    monkeypatch.setattr("importer.repo.new_objects.FULL", 100)
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    many = FilesJob(tuple(One(Owner(0o644, 0, 0), b"", b"%d" % n) for n in range(1000)))
    found = checksums(read(Repo.open(path), many, None))
    assert len(set(found)) == 1000
    assert len(objects(path)) == 1000
    assert read(Repo.open(path), many, workers).diff_size == 0


def test_a_full_directory_is_in_the_repo_before_the_layer_is_read(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durable before that; and it stays there if the layer turns out to be wrong."""
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    seen: list[int] = []
    sync = Repo.sync

    def noted(repo: Repo) -> None:
        seen.append(len(objects(path)))
        sync(repo)

    monkeypatch.setattr(Repo, "sync", noted)
    many = tuple(One(Owner(0o644, 0, 0), b"", b"%d" % n) for n in range(new_objects.FULL + 8))
    with pytest.raises(LayerError, match="wrong"):
        read(Repo.open(path), FilesJob(many, LayerError("wrong")), workers)
    assert seen == [0]
    assert len(objects(path)) == new_objects.FULL
    found = read(Repo.open(path), FilesJob(many), workers)
    assert seen[1:] == [new_objects.FULL]
    assert len(objects(path)) == len(many)
    assert metadata(path).keys() == {f"{sum_[2:]}.{kind}" for kind, sum_ in directory_of(found)}


def directory_of(layer: ReadLayer) -> list[tuple[str, str]]:
    """The kinds and checksums of the directory's own objects."""
    stored = layer.tree.root.entries[b"d"]
    assert isinstance(stored, Stored)
    return [("dirtree", stored.contents), ("dirmeta", stored.meta)]


def test_a_tree_of_any_depth_comes_back(tmp_path: Path, workers: Workers) -> None:
    """What is not stored yet, as it may depend on lower layers; pickle would go as deep."""
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    found = read(Repo.open(path), DeepJob(), workers).tree
    names = []
    node = found.root
    while b"a" in node.entries:
        below = node.entries[b"a"]
        assert isinstance(below, Directory)
        names.append(below.owner)
        node = below
    assert names == [None] * 2000
    assert node.whiteouts == {b"gone", b"dev"}
    assert node.entries == {b"dev": Gap.WHITEOUT}
    (link,) = found.links
    assert found.root.entries[b"one"] is found.root.entries[b"two"] is link.leaf
    assert (found.opaque_markers, found.uids) == (0, {7})


@dataclass(frozen=True)
class DeepJob:
    def read(self, store: Store, source: int, advance: Advance) -> ReadLayer:  # noqa: ARG002
        tree = LayerTree()
        deep = b"a/" * 2000
        tree.add(Entry(deep + b".wh.gone", Kind.FILE, Owner(0o644, 0, 0)))
        tree.add(Entry(deep + b"dev", Kind.CHAR, Owner(0o644, 0, 0)))
        tree.add(Entry(b"one", Kind.HARDLINK, Owner(0o644, 0, 0), link=b"lower"))
        tree.add(Entry(b"two", Kind.HARDLINK, Owner(0o644, 0, 0), link=b"one"))
        tree.add(Entry(b"dir", Kind.DIRECTORY, Owner(0o755, 7, 7)))
        tree.gids.discard(7)
        return ReadLayer(tree, 0, 0, None)


@pytest.mark.parametrize("size", [0, 5, 100_000])
def test_a_descriptor_can_be_handed_over(tmp_path: Path, workers: Workers, size: int) -> None:
    """Another each time; progress is told of, and a process goes on after an error."""
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", "bare-user"))
    for n in range(3):
        told: list[int] = []
        with pytest.raises(LayerError, match="wrong"):
            read(repo, FailingJob(LayerError("wrong")), workers)
        with fed(b"%d" % n * size) as source:
            found = read(repo, DrainingJob(), workers, source, told.append)
        assert found.record == b"%d" % n * size
        assert sum(told) == -(-size // 10) << 20


@pytest.mark.parametrize(
    "error",
    [
        LayerError("wrong", hint="mend it", digest="sha256:0", path=b"a\xff"),
        FetchError("gone"),
        ImporterError("no room", hint="free some"),
    ],
)
def test_an_expected_error_comes_as_it_is(
    tmp_path: Path, workers: Workers, error: ImporterError | LayerError
) -> None:
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", "bare-user"))
    with pytest.raises(type(error)) as caught:
        read(repo, FailingJob(error), workers)
    assert vars(caught.value) == vars(error)
    assert str(caught.value) == str(error)


def test_a_bug_is_shown_with_where_it_was(tmp_path: Path, workers: Workers) -> None:
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", "bare-user"))
    with pytest.raises(ZeroDivisionError) as caught:
        read(repo, FailingJob(ZeroDivisionError("a bug")), workers)
    assert "raise self.error" in caught.value.__notes__[0]
    assert read(repo, FilesJob(()), workers).diff_size == 0


def test_who_is_told_of_progress_can_end_it(tmp_path: Path, workers: Workers) -> None:
    """And the next layer has a process all the same."""
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", "bare-user"))

    def stop(_: int) -> None:
        raise ImporterError("stopped")

    job = FilesJob(tuple(files()))
    with pytest.raises(ImporterError, match="stopped"):
        read(repo, job, workers, advance=stop)
    assert list((tmp_path / "repo").glob("objects/*/*")) == []
    read(repo, job, workers)
    assert len(objects(tmp_path / "repo")) == len(set(files()))


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_process_that_was_killed_is_an_error_of_one_line(
    tmp_path: Path, workers: Workers, moment: str
) -> None:
    """Nothing of it stays in the repo, and the next layer has another one."""
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    repo = Repo.open(path)
    job = FilesJob(tuple(files()))
    with workers.lent() as worker:
        process = worker._server._child

    def kill(_: int = 0) -> None:
        os.kill(process.pid, 9)

    if moment == "before":
        kill()
        process.wait()
    with pytest.raises(ImporterError, match="ended with status -9") as caught:
        read(repo, job, workers, advance=kill)
    assert "\n" not in str(caught.value)
    assert "memory" in caught.value.hint
    assert list(path.glob("objects/*/*")) == []
    assert list((path / "tmp").glob("import-image-*")) == []
    read(repo, job, workers)
    assert len(objects(path)) == len(set(files()))


@pytest.mark.parametrize("descriptors", [1, 2, 3, 4, 6])
def test_one_that_cannot_be_started_leaves_no_descriptor_open(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, descriptors: int
) -> None:
    """For want of descriptors, or, with enough of them, of the program."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", "bare-user"))
    before = open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 1 + descriptors, hard))
    try:
        with pytest.raises((OSError, ImporterError)), workers.lent():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # Not equal: what earlier tests have left to the garbage collector may go meanwhile.
    assert open_descriptors().items() <= before.items()
    with pytest.raises(ImporterError, match="none is not installed") as caught:
        read(repo, FilesJob(()), workers)
    assert "\n" not in str(caught.value)


def test_one_that_may_not_be_started_is_an_error_of_one_line(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text("")
    program.chmod(0o644)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(ImporterError) as caught, workers.lent():
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
def test_a_full_disk_is_told_as_the_system_tells_it(tmp_path: Path, workers: Workers) -> None:
    place = tmp_path / "small"
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place])
    try:
        repo = Repo.open(ostreerepo.init(place / "repo", "bare-user"))
        large = One(Owner(0o644, 0, 0), b"", b"x" * 5_000_000)
        with pytest.raises(ImporterError, match="No space left") as caught:
            read(repo, FilesJob((large,)), workers)
        assert "min-free-space" in caught.value.hint
    finally:
        run(["umount", "--lazy", place])  # the repo is still open
