"""A layer that several processes write is the layer that one writes; and what if one dies."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer.errors import ImporterError
from importer.import_images import import_images
from importer.ingest.budget import Budget
from importer.ingest.helpers import Helpers, shares
from importer.ingest.object_writer import ObjectWriter
from importer.ingest.shared_writer import SharedWriter
from importer.progress import Silence
from importer.repo.staging import NewObjects, Place
from importer.repo.writer import Repo
from importer.workers.helper import HelpedObjects, help_reader
from importer.workers.pool import Workers
from importer.workers.run_job import lent_worker, run_job
from importer.workers.shared_queue import SLOT_SIZE, File, SharedQueue
from layers.entry import Entry, Kind, Owner
from layers.tree.node import Leaf
from tests.tools import ostreerepo, patience
from tests.tools.entry import Entry as TarEntry
from tests.tools.image import build_oci
from tests.tools.lab import import_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.progress import Advance
    from importer.workers.job import Store

MB = 1 << 20
OWNER = Owner(0o644, 3, 4)


@pytest.mark.parametrize(
    ("jobs", "sizes", "helpers"),
    [
        (1, {"a": 99 * MB}, {"a": 0}),
        (2, {"a": 99 * MB}, {"a": 1}),
        (2, {"a": 99 * MB, "b": 99 * MB}, {"a": 0, "b": 0}),
        (2, {"a": 99 * MB, "b": 99 * MB, "c": MB}, {"a": 0, "b": 0, "c": 0}),
        (4, {"a": 300 * MB, "b": 99 * MB}, {"a": 2, "b": 0}),
        (16, {"a": 300 * MB, "b": 99 * MB, "c": MB}, {"a": 3, "b": 3, "c": 0}),
        (16, {}, {}),
    ],
)
def test_jobs_that_no_layer_takes_help_where_most_is_left(
    jobs: int, sizes: dict[str, int], helpers: dict[str, int]
) -> None:
    assert shares(jobs, sizes) == helpers


# --- the queue, with a thread as helper ---


@pytest.fixture
def queue() -> Iterator[SharedQueue]:
    with closing(SharedQueue.create()) as made:
        made.helpers = 1
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str], Place]:
    """Makes a place for objects."""
    (tmp_path / "objects").mkdir()

    def make(name: str) -> Place:
        (tmp_path / name).mkdir()
        return Place("bare-user", str(tmp_path / "objects"), str(tmp_path / name), 0)

    return make


def as_helper(queue: SharedQueue) -> SharedQueue:
    """The queue as another process sees it."""
    return SharedQueue(os.dup(queue.for_helper[0]), -1, os.dup(queue.for_helper[1]))


def contents() -> list[bytes]:
    """Some empty, some the same, one as large as it can be."""
    many = [b"content %d" % (n % 700) * (n % 50) for n in range(1500)]
    return [*many, b"x" * MB, b"y" * MB, b"z" * MB]


def shared(
    queue: SharedQueue, store: Store, between: Callable[[int], None] = lambda _: None
) -> list[str]:
    """Write them by a SharedWriter; return their checksums."""
    writer, leaves = SharedWriter(queue, store), []
    for number, content in enumerate(contents()):
        between(number)
        leaves.append(Leaf())
        file = File(OWNER, "", len(content))
        if not writer.add(leaves[-1], file, content):
            leaves[-1].checksum = store.write_file(OWNER, content)
    for target in ("target", "é" * 1000):
        leaves.append(Leaf())
        assert writer.add(leaves[-1], File(OWNER, target, 0), b"")
    writer.finish()
    return [leaf.checksum for leaf in leaves]


def alone(store: Store) -> list[str]:
    files = [store.write_file(OWNER, content) for content in contents()]
    return [*files, *(store.write_symlink(OWNER, target) for target in ("target", "é" * 1000))]


def test_batches_that_nobody_takes_are_written_by_the_reader(
    queue: SharedQueue, place: Callable[[str], Place]
) -> None:
    assert shared(queue, NewObjects(place("own"), 0)) == alone(NewObjects(place("alone"), 0))


def test_a_helper_gives_the_same_checksums(
    queue: SharedQueue, place: Callable[[str], Place]
) -> None:
    """A second one is stopped on the way."""
    helpers = [as_helper(queue), as_helper(queue)]
    arguments = [(one, place(f"helper{n}"), n) for n, one in enumerate(helpers)]
    threads = [threading.Thread(target=help_reader, args=one) for one in arguments]
    for thread in threads:
        thread.start()
    stop = {700: lambda: queue.stop(1)}
    found = shared(queue, NewObjects(place("own"), 0), lambda n: stop.get(n, lambda: None)())
    threads[1].join(patience.SECONDS)
    assert not threads[1].is_alive()
    queue.end()
    threads[0].join(patience.SECONDS)
    assert not threads[0].is_alive()
    assert found == alone(NewObjects(place("alone"), 0))
    for one in helpers:
        one.close()


def test_helpers_may_come_and_go_within_a_batch(
    queue: SharedQueue, place: Callable[[str], Place]
) -> None:
    def change(number: int) -> None:
        if number % 100 == 0:
            queue.helpers = number // 100 % 2

    queue.helpers = 0
    store, last = NewObjects(place("own"), 0), len(contents()) - 1
    assert shared(queue, store, lambda n: change(n if n < last else 100)) == alone(
        NewObjects(place("alone"), 0)
    )


def test_a_helper_that_is_lost_with_a_batch_is_an_error(
    queue: SharedQueue, place: Callable[[str], Place]
) -> None:
    taken = []

    def lose(number: int) -> None:
        if number == 500:
            with closing(as_helper(queue)) as helper:
                taken.append(helper.take())
            queue.lose()

    with pytest.raises(ImporterError, match="gone"):
        shared(queue, NewObjects(place("own"), 0), lose)
    assert taken[0] is not None


def test_an_error_of_a_helper_is_raised(queue: SharedQueue, place: Callable[[str], Place]) -> None:
    def fail(number: int) -> None:
        if number == 500:
            with closing(as_helper(queue)) as helper:
                batch = helper.take()
                assert batch is not None
                helper.answer(batch.slot, OSError(28, "No space left on device"))

    with pytest.raises(OSError, match="No space"):
        shared(queue, NewObjects(place("own"), 0), fail)


def test_what_no_packet_can_describe_is_written_by_the_reader(
    queue: SharedQueue, place: Callable[[str], Place]
) -> None:
    owners = [Owner(0o644, 0, 0, ((b"user.large", b"%02d" % n * 1000),)) for n in range(50)]
    writer, leaves = SharedWriter(queue, NewObjects(place("own"), 0)), []
    for owner in owners:
        leaves.append(Leaf())
        assert writer.add(leaves[-1], File(owner, "", 1), b"a")
    writer.finish()
    store = NewObjects(place("alone"), 0)
    assert [leaf.checksum for leaf in leaves] == [store.write_file(one, b"a") for one in owners]


# --- real processes ---


@dataclass(frozen=True)
class UntilHelped:
    """Writes files until a helper has written some, and then some more.

    `advance` is told of the moment.
    """

    more: int

    def read(self, store: Store, source: int, advance: Advance) -> tuple[str, ...]:  # noqa: ARG002
        assert isinstance(store, HelpedObjects)
        leaves: list[Leaf] = []
        end = time.monotonic() + patience.SECONDS
        with ObjectWriter(store) as writer:
            while not self._is_helped(store):
                assert time.monotonic() < end
                self._add(writer, leaves, 100)
            advance(1 << 20)
            self._add(writer, leaves, self.more)
        return tuple(leaf.checksum for leaf in leaves)

    def _is_helped(self, store: HelpedObjects) -> bool:
        own = Path(store._place.directory)
        return any(file.parent.parent != own for file in own.parent.glob("*/*/*"))

    def _add(self, writer: ObjectWriter, leaves: list[Leaf], count: int) -> None:
        for number in range(len(leaves), len(leaves) + count):
            leaves.append(Leaf())
            content = b"%d" % number
            entry = Entry(b"f", Kind.FILE, OWNER, len(content))
            writer.add(leaves[-1], entry, One(content))


@dataclass(frozen=True)
class One:
    data: bytes

    def whole(self) -> bytes:
        return self.data

    def content(self) -> Iterator[bytes]:
        return iter([self.data])


@pytest.fixture
def workers() -> Iterator[Workers]:
    with closing(Workers(ObjectWriter.__module__)) as running:
        yield running


@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_processes_write_what_one_writes(
    tmp_path: Path, workers: Workers, mode: ostreerepo.Mode
) -> None:
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", mode))
    helpers = Helpers(workers, 3)
    with (
        repo.locked(),
        repo.transaction(),
        lent_worker(repo, workers) as worker,
        helpers.reading(repo, 99 * MB) as queue,
    ):
        found = run_job(repo, worker, UntilHelped(3000), -1, lambda _: None, queue)
    other = Repo.open(ostreerepo.init(tmp_path / "other", mode))
    with other.locked(), other.transaction():
        expected = [other.write_file(OWNER, b"%d" % number) for number in range(len(found))]
    assert list(found) == expected
    assert repo.written_bytes == other.written_bytes
    ostreerepo.fsck(repo.path)
    assert len(list(repo.path.glob("objects/??/*"))) == len(found)


def test_a_helper_that_is_killed_is_an_error_of_one_line(tmp_path: Path, workers: Workers) -> None:
    repo = Repo.open(ostreerepo.init(tmp_path / "repo"))
    with workers.lent() as helper:  # the next one that is lent is the same
        assert helper._process is not None
        process = helper._process._server._child
        with workers.lent() as reader:
            pass

    def kill(_: int) -> None:
        os.kill(process.pid, 9)

    helpers = Helpers(workers, 2)
    with (
        pytest.raises(ImporterError, match="ended with status -9") as caught,
        repo.locked(),
        repo.transaction(),
        helpers.reading(repo, 99 * MB) as queue,
    ):
        run_job(repo, reader, UntilHelped(1000), -1, kill, queue)
    assert "\n" not in str(caught.value)
    assert list(repo.path.glob("objects/??/*")) == []
    assert list((repo.path / "tmp").glob("import-image-*")) == []


def test_an_import_with_helpers_makes_the_same_commits(
    tmp_path: Path, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the record needs the content of files that others replace."""
    files = [TarEntry(b"file%d" % n, content=b"content %d" % (n % 900)) for n in range(1200)]
    twice = [replace(one, content=b"again") for one in files[::10]]
    large = TarEntry(b"large", content=os.urandom(SLOT_SIZE))
    layers = [[*files, large, *twice], [TarEntry(b"upper", content=b"upper")]]
    reference = f"oci:{build_oci(layout, 't', layers).directory}:t"
    monkeypatch.setattr("importer.ingest.helpers._WORTH", 0)
    found = []
    for jobs in (1, 4):
        repo = tmp_path / str(jobs)
        job = import_job(repo, reference)
        job = replace(job, target=replace(job.target, budget=Budget(jobs=jobs)))
        import_images(job, Silence())
        ostreerepo.fsck(repo)
        found.append(ostreerepo.refs(repo))
    assert found[0] == found[1]
