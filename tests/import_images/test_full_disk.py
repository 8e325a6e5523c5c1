"""The repo's file system runs out of space at many points of an import, or fails."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.layout import digest_of
from tests.tools.ostreerepo import fsck, heads, init, ostree
from tests.tools.overlay import unmount
from tests.tools.process import run
from tests.tools.tarbuild import Entry

pytestmark = pytest.mark.root

SMALL = [Entry(b"etc", "dir", mode=0o755), Entry(b"etc/word", content=b"word\n")]
PAGE = os.sysconf("SC_PAGE_SIZE")
#: Of what an import takes: from nothing to all but one page, or one inode.
SHARES = [0, 0.1, 0.3, 0.5, 0.8, 1]
FEWER = [0.5, 1]


def noise(count: int) -> bytes:
    """32 bytes for each number below `count`, which nothing packs."""
    return b"".join(bytes.fromhex(digest_of(b"%d" % n)[7:]) for n in range(count))


@dataclass(frozen=True)
class Disk:
    """A tmpfs with a repo that has a branch `os/images`. `commit` is what an import of
    `reference` makes."""

    place: Path
    empty: Path
    reference: str
    commit: str = ""

    @property
    def repo(self) -> Path:
        return self.place / "repo"

    def limit(self, option: str) -> None:
        run(["mount", "-o", f"remount,{option}", self.place])

    def widen(self) -> None:
        self.limit("size=256M,nr_inodes=100000")

    def begin(self) -> None:
        """The repo as it was before the import, and space."""
        self.widen()
        shutil.rmtree(self.repo, ignore_errors=True)
        run(["cp", "-a", self.empty, self.repo])

    def used(self) -> tuple[int, int]:
        """The bytes and the inodes in use."""
        found = os.statvfs(self.place)
        return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree

    def check(self, option: str) -> None:
        """Import with so little space, which fails; then with more, which makes the commit."""
        before = images(self.repo)
        self.limit(option)
        outcome = run_import(self.repo, "--branch=os/images", self.reference)
        self.widen()
        assert (outcome.status, outcome.stdout) == (1, ""), outcome
        assert len(outcome.said("error")) == 1, outcome.stderr
        assert ["the disk is full" in hint for hint in outcome.said("hint")] == [True], outcome
        assert images(self.repo) == before
        fsck(self.repo)
        imported(self.repo, "--branch=os/images", self.reference)
        assert images(self.repo)["os/images"] == self.commit
        assert not list((self.repo / "tmp").glob("import-image-*"))
        fsck(self.repo)


def images(repo: Path) -> dict[str, str]:
    """The refs but for those of finished layers, which may stay."""
    kept = ("oci/layer/", "oci/tar-split/")
    return {ref: at for ref, at in heads(repo).items() if not ref.startswith(kept)}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """Layers with many small files, with a large one, and with names and xattrs."""
    data = noise(20_000)
    small = [Entry(b"s%03d" % n, content=data[n : n + 3000]) for n in range(100)]
    large = [Entry(b"large", content=data), Entry(b"other", content=data[::-1])]
    named = [
        Entry(b"d%d/n%03d" % (n % 5, n), content=b"%d" % n, xattrs={b"user.a": b"%d" % n})
        for n in range(100)
    ]
    layout = tmp_path_factory.mktemp("full") / "layout"
    return build_oci(layout, "t", [SMALL, small, large, named])


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory, image: BuiltImage) -> Iterator[Disk]:
    place = tmp_path_factory.mktemp("full-disk")
    empty = init(tmp_path_factory.mktemp("full-empty") / "repo", "bare-user")
    ostree(empty, "config", "set", "core.min-free-space-percent", "0")
    build_oci(image.directory, "first", [SMALL])
    imported(empty, "--branch=os/images", f"oci:{image.directory}:first")
    run(["mount", "-t", "tmpfs", "tmpfs", place])
    yield Disk(place, empty, f"oci:{image.directory}:t")
    unmount(place)


@dataclass(frozen=True)
class Need:
    """What the disk has in use, in bytes and inodes, before and after an import."""

    disk: Disk
    before: tuple[int, int]
    after: tuple[int, int]


@pytest.fixture(scope="module")
def need(disk: Disk) -> Need:
    disk.begin()
    before = disk.used()
    imported(disk.repo, "--branch=os/images", disk.reference)
    return Need(replace(disk, commit=images(disk.repo)["os/images"]), before, disk.used())


@pytest.mark.parametrize("share", SHARES)
def test_no_bytes_are_left(need: Need, share: float) -> None:
    before, after = need.before[0], need.after[0]
    need.disk.begin()
    pages = (before + int((after - before) * share)) // PAGE
    need.disk.check(f"size={min(pages * PAGE, after - PAGE)}")


@pytest.mark.parametrize("share", FEWER)
def test_no_inodes_are_left(need: Need, share: float) -> None:
    """Where no directory and no xattr has room either."""
    before, after = need.before[1], need.after[1]
    need.disk.begin()
    need.disk.check(f"nr_inodes={min(before + int((after - before) * share), after - 1)}")


def test_a_tree_does_not_fit(disk: Disk, tmp_path: Path) -> None:
    """The error is on the repo, and not on the file of the tree that was read. The tree is large
    enough for worker processes, of holes."""
    disk.begin()
    for n in range(5):
        with (tmp_path / f"f{n}").open("wb") as file:
            file.write(b"%d" % n)
            file.truncate(8 << 20)
    disk.limit(f"size={disk.used()[0] + 60 * PAGE}")
    flags = ("--branch=os/tree", "--jobs=2", tmp_path)
    outcome = run_import(disk.repo, *flags, command="import-tree")
    disk.widen()
    (error,), (hint,) = outcome.said("error"), outcome.said("hint")
    assert error == f"writing files to repo {disk.repo}: No space left on device"
    assert hint.startswith("the disk is full")
    fsck(disk.repo)


#: What the kernel makes of a device's errors, and the hint for it. The loop driver gives EIO where
#: a write became a short one, and ENOSPC where nothing of it was written (drivers/block/loop.c).
DEVICE_FAULTS = {
    "Input/output error": "the disk of the repo fails: see dmesg(1)",
    "No space left on device": "the disk is full, or the device below it: see dmesg(1)",
}


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of 64 MB whose device has 12 MB: each write beyond these is an error of the device,
    of which the file system knows nothing before."""
    back, place = tmp_path / "back", tmp_path / "place"
    back.mkdir()
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=12M", "tmpfs", back])
    run(["truncate", "--size=64M", back / "device"])
    run(["mkfs.ext4", "-q", "-O", "^has_journal", back / "device"])
    run(["mount", "-o", "loop", back / "device", place])
    yield place
    unmount(place)
    unmount(back)


def test_a_disk_that_fails(failing: Path, layout: Path) -> None:
    """The kernel takes the writes, and tells of the error when they are to be durable."""
    repo = init(failing / "repo", "bare-user")
    build_oci(layout, "small", [SMALL])
    imported(repo, "--branch=os/images", f"oci:{layout}:small")
    before = images(repo)
    build_oci(layout, "large", [[Entry(b"large", content=noise(600_000))]])
    outcome = run_import(repo, "--branch=os/images", f"oci:{layout}:large")
    assert (outcome.status, outcome.stdout) == (1, ""), outcome
    (error,), (hint,) = outcome.said("error"), outcome.said("hint")
    doing, _, fault = error.rpartition(": ")
    assert ": syncfs" in doing
    assert hint.startswith(DEVICE_FAULTS[fault])
    assert images(repo) == before
