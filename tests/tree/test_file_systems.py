"""Where import-tree's cache is used: an image can have other files with the last one's times."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.lacking import need
from tests.tools.overlay import overlay_mount, unmount
from tests.tools.process import run
from tests.tools.treecommit import age, imported_tree, objects, ostree_commit, run_tree
from tests.tree.test_whiteouts import write

pytestmark = pytest.mark.root

UUID = "11111111-2222-3333-4444-555555555555"
FILES = ("d/a", "d/b")


def erofs(tree: Path, image: Path) -> None:
    run([need("mkfs.erofs"), "-T7", f"-U{UUID}", image, tree])


def squashfs(tree: Path, image: Path) -> None:
    run([need("mksquashfs"), tree, image, "-all-time", "7", "-mkfs-time", "7", "-noappend"])


def ext4(tree: Path, image: Path) -> None:
    """As mke2fs makes it with SOURCE_DATE_EPOCH; older versions take the files' own ctime."""
    with image.open("wb") as file:
        file.truncate(8 << 20)
    environment = {**os.environ, "E2FSPROGS_FAKE_TIME": "7"}
    run(["mke2fs", "-q", "-t", "ext4", "-U", UUID, "-d", tree, image], env=environment)
    commands = "".join(
        f"sif {path} {time} 7\nsif {path} {time}_extra 0\n"
        for path in ("/", "d", *FILES)
        for time in ("mtime", "ctime")
    )
    (script := image.with_suffix(".debugfs")).write_text(commands)
    run(["debugfs", "-w", "-f", script, image])


IMAGES: Mapping[str, Callable[[Path, Path], None]] = {
    "erofs": erofs, "squashfs": squashfs, "ext4": ext4,
}  # fmt: skip


@contextmanager
def mounted(image: Path, where: Path, *options: str) -> Iterator[Path]:
    where.mkdir(exist_ok=True)
    run(["mount", "-o", ",".join(["loop", *options]), image, where])
    try:
        yield where
    finally:
        unmount(where)


def states(root: Path) -> list[tuple[int, ...]]:
    """What the cache knows a file by, but for the number of the loop device."""
    found = [os.lstat(root / name) for name in FILES]
    return [(s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in found]


def check(repo: Path, root: Path, *, cached: bool) -> None:
    """Commit the tree; it is the one of `ostree commit`, files from the cache or not."""
    document = imported_tree(repo, root)
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={root}")
    assert (document["cached"], document["read"]) == ((2, 0) if cached else (0, 2))


@pytest.mark.parametrize("options", ["ro", "rw"])
@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_made_anew_with_the_same_times(
    tmp_path: Path, repo: Path, kind: str, options: str
) -> None:
    seen = []
    for number in "12":
        tree = write(tmp_path / f"tree-{number}", {name: name + number for name in FILES})
        IMAGES[kind](tree, tmp_path / f"image-{number}")
        with mounted(tmp_path / f"image-{number}", tmp_path / "root", options) as root:
            seen.append(states(root))
            outcome = run_tree(repo, "--verbose", "--subject=first", root)
            assert f"file system {kind} on /dev/loop" in outcome.stderr
            assert "every file is read: " in outcome.stderr
            check(repo, root, cached=False)
    assert seen[0] == seen[1]


def test_subvolumes_of_btrfs(tmp_path: Path, repo: Path) -> None:
    """Two snapshots whose file was changed at the same moment have the same inode and times."""
    with (tmp_path / "image").open("wb") as file:
        file.truncate(128 << 20)
    run([need("mkfs.btrfs"), "-q", tmp_path / "image"])
    with mounted(tmp_path / "image", tmp_path / "top") as top:
        run(["btrfs", "-q", "subvolume", "create", top / "one"])
        write(top / "one", {name: name for name in FILES})
        run(["btrfs", "-q", "subvolume", "snapshot", top / "one", top / "two"])
        for name in FILES:
            (top / "two" / name).write_text("x" * len(name))
        for name in ("one", "two"):
            with mounted(tmp_path / "image", tmp_path / "root", f"subvol={name}") as root:
                check(repo, root, cached=False)


def test_an_overlay_may_have_an_image_below(tmp_path: Path, repo: Path) -> None:
    for number in "12":
        tree = write(tmp_path / f"tree-{number}", {name: name + number for name in FILES})
        erofs(tree, tmp_path / f"image-{number}")
        with (
            mounted(tmp_path / f"image-{number}", tmp_path / "lower", "ro") as lower,
            overlay_mount([lower], tmp_path / "root") as root,
        ):
            check(repo, root, cached=False)


def test_a_tmpfs(tmp_path: Path, repo: Path) -> None:
    """The kernel sets its times; another one in its place has its own."""
    place = tmp_path / "root"
    place.mkdir()
    for number in "12":
        run(["mount", "-t", "tmpfs", "x", place])
        try:
            write(place, {name: name + number for name in FILES})
            age(place)
            check(repo, place, cached=False)
            check(repo, place, cached=True)
            (place / FILES[0]).write_text(FILES[1])
            os.utime(place / FILES[0], ns=(7, 7))
            document = imported_tree(repo, place)
            assert (document["cached"], document["read"]) == (1, 1)
        finally:
            unmount(place)


def test_a_disk_says_what_is_cached(tmp_path: Path, repo: Path) -> None:
    root = write(tmp_path / "tree", {name: name for name in FILES})
    age(root)
    check(repo, root, cached=False)
    outcome = run_tree(repo, "--verbose", "--json", root)
    assert outcome.document["cached"] == 2
    assert "unchanged files are not read again" in outcome.stderr
    # A tree within it is in another file system, and its files alone are read.
    shutil.rmtree(root / "d")
    (root / "d").mkdir()
    write(root, {"e/f": "f"})
    run(["mount", "-t", "tmpfs", "x", root / "d"])
    try:
        write(root, {name: name for name in FILES})
        assert objects_are_ostree_s(repo, root)
    finally:
        unmount(root / "d")


def objects_are_ostree_s(repo: Path, root: Path) -> bool:
    imported_tree(repo, root)
    return objects(repo) == ostree_commit(repo, f"--tree=dir={root}")
