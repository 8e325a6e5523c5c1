"""A tree that changes while it is read, and files that are known: in our own process."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files.beneath import Beneath
from importer.files.foreign import ForeignDirectory, entries_of
from importer.repo.writer import Repo
from importer.tree.file_batch import FileBatch, TreeFile, seen
from importer.tree.known_files import KnownFiles, cache_path
from importer.tree.scan import TreeScan
from importer.tree.scanned import Rules
from importer.tree.store_files import FileStore
from layers.limits import DeviceNodes
from layers.ondisk.commit_filter import Bits, CommitFilter, CommitOptions
from layers.tree.node import Leaf
from tests.tools.importimage import NOBODY, run_import
from tests.tools.ostreerepo import fsck, init, refs
from tests.tools.overlay import unmount
from tests.tools.process import run
from tests.tools.treecommit import age, imported_tree, objects, ostree_commit, run_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory, a small file and a large one."""
    root = tmp_path / "tree"
    (root / "d").mkdir(parents=True)
    (root / "d/small").write_text("small")
    (root / "large").write_bytes(bytes(3 << 20))
    return root


class Meddler(FileStore):
    """A store that changes the tree when it gets a file."""

    def __init__(self, change: Callable[[], object]) -> None:
        self._change = change

    def enter(self, *_: object) -> None:
        """See `FileStore`."""

    def find(self, *_: object) -> None:
        """See `FileStore`."""

    def check(self) -> None:
        """See `FileStore`."""

    def add(self, file: TreeFile, leaf: Leaf, *, links: int) -> None:  # noqa: ARG002
        """See `FileStore`."""
        if file.name == b"small":
            self._change()


CHANGES: dict[str, Callable[[Path], object]] = {
    "new file": lambda root: (root / "new").touch(),
    "new file below": lambda root: (root / "d/new").touch(),
    "mode": lambda root: (root / "d").chmod(0o700),
    "directory gone": lambda root: (root / "d").rename(root.parent / "d"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_directory_that_changes_is_named(tree: Path, change: str) -> None:
    with ForeignDirectory.named(tree) as root:
        meddler = Meddler(lambda: CHANGES[change](tree))
        scan = TreeScan(root, Rules(DeviceNodes.AUTO), CommitFilter(CommitOptions()), meddler)
        with pytest.raises(ImporterError, match=f"^{tree}.*: it changed while it was read"):
            scan.run()


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    """Something else at the path."""
    path.unlink()
    make(path)


FILE_CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda path: path.write_bytes(path.read_bytes()[::-1] + b"!"),
    "mode": lambda path: path.chmod(0o600),
    "gone": lambda path: path.unlink(),
    "symlink": lambda path: replaced(path, lambda new: new.symlink_to("/etc/passwd")),
    "fifo": lambda path: replaced(path, os.mkfifo),
}


@pytest.mark.parametrize("name", ["d/small", "large"])
@pytest.mark.parametrize("change", FILE_CHANGES)
def test_a_file_that_changes_is_named(tree: Path, tmp_path: Path, name: str, change: str) -> None:
    path = tree / name
    parents = tuple(os.fsencode(part) for part in Path(name).parts[:-1])
    file = TreeFile(parents, os.fsencode(path.name), seen(path.lstat()), Bits(0o644, 0, 0), None)
    FILE_CHANGES[change](path)
    repo = Repo.open(init(tmp_path / "repo"))
    batch = FileBatch(os.fsencode(tree), (file,), keep_xattrs=True)
    fails = pytest.raises(ImporterError, match=f"^{path}: ")
    with ForeignDirectory.named(tree) as root, repo.transaction(), fails:
        batch.read(repo, root.descriptor, lambda _count: None)
    assert list((tmp_path / "repo/objects").glob("*/*.file")) == []


def test_a_file_that_grows_while_it_is_read(tree: Path, tmp_path: Path) -> None:
    """Found after the reading, which is why what is read is looked at twice."""
    path = tree / "large"

    class Growing:
        """A store that appends to the file when it has got all of it."""

        is_slow = False

        def write_large_file(self, _owner: object, _size: int, chunks: Iterator[bytes]) -> str:
            assert sum(map(len, chunks)) == 3 << 20
            with path.open("ab") as file:
                file.write(b"more")
            return "0" * 64

    file = TreeFile((), b"large", seen(path.lstat()), Bits(0o644, 0, 0), None)
    batch = FileBatch(os.fsencode(tree), (file,), keep_xattrs=True)
    with (
        ForeignDirectory.named(tree) as root,
        pytest.raises(ImporterError, match="large: it changed"),
    ):
        batch.read(Growing(), root.descriptor, lambda _count: None)  # type: ignore[arg-type]


def test_a_symlink_on_the_way_is_not_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tree / "link").symlink_to(tmp_path / "outside")
    with ForeignDirectory.named(tree) as root, Beneath(root.descriptor) as beneath:
        assert os.stat(b"small", dir_fd=beneath.directory((b"d",))).st_size == 5
        with pytest.raises(NotADirectoryError):
            beneath.directory((b"link",))
        assert os.stat(b"small", dir_fd=beneath.directory((b"d",))).st_size == 5


def test_a_deep_tree_needs_few_descriptors(tmp_path: Path) -> None:
    """Its path is longer than a path may be, and each of its directories has a neighbour."""
    at, inodes = os.open(tmp_path, os.O_RDONLY), set()
    for _ in range(150):
        for name in ("d" * 40, "e"):
            os.mkdir(name, dir_fd=at)
        above, at = at, os.open("d" * 40, os.O_RDONLY, dir_fd=at)
        inodes.add(os.fstat(at).st_ino)
        os.close(above)
    os.close(at)

    def opened() -> int:
        count = 0
        for descriptor in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # of the listing itself
                count += descriptor.stat().st_ino in inodes
        return count

    with ForeignDirectory.named(tmp_path) as root, Beneath(root.descriptor) as beneath:
        for depth in [*range(150), *reversed(range(150))]:
            above = beneath.directory((b"d" * 40,) * depth)
            assert [name for name, _ in entries_of(above)] == [b"d" * 40, b"e"]
            beneath.directory((*(b"d" * 40,) * depth, b"e"))
            assert 0 < opened() < 100 or not depth
    assert opened() == 0


@pytest.mark.root
def test_what_is_not_readable_is_named(unprivileged: Path) -> None:
    (unprivileged / "tree").mkdir()
    (unprivileged / "tree/small").touch(mode=0o600)
    outcome = run_import(
        unprivileged / "repo",
        "--branch=os/b",
        unprivileged / "tree",
        command="import-tree",
        wrapper=NOBODY,
    )
    assert outcome.status == 1
    assert f"{unprivileged}/tree/small: Permission denied" in outcome.said("error")[0]
    assert "run as root" in outcome.said("hint")[0]


# --- files that are known ---


def known(path: Path | None, *, keep_xattrs: bool = True) -> KnownFiles:
    """What is known, in a cache at this path, of files in the file system of /tmp."""
    found = KnownFiles(path, keep_xattrs=keep_xattrs)
    descriptor = os.open(tempfile.gettempdir(), os.O_RDONLY)
    found.file_systems.enter(b"/tmp", descriptor, os.fstat(descriptor).st_dev)
    os.close(descriptor)
    return found


def has_it(_checksum: str) -> bool:
    """A repo that has all objects."""
    return True


def test_a_file_is_known_by_what_it_is_and_what_is_made_of_it(tree: Path, tmp_path: Path) -> None:
    age(tree)
    status, bits = (tree / "large").lstat(), Bits(0o644, 0, 0)
    cache = cache_path(tmp_path, b"/tree")
    first = known(cache)
    first.add(TreeFile((), b"large", seen(status), bits, None), "ab" * 32)
    first.add(TreeFile((), b"large", seen(status), bits, b"a_label"), "cd" * 32)
    first.save()
    found = known(cache)
    assert found.find(status, bits, None, has_it) == "ab" * 32
    assert found.find(status, bits, b"a_label", has_it) == "cd" * 32
    assert found.find(status, bits, b"another", has_it) is None
    assert found.find(status, Bits(0o644, 0, 1), None, has_it) is None
    assert found.find((tree / "d/small").lstat(), bits, None, has_it) is None
    assert found.find(status, bits, None, lambda _checksum: False) is None
    assert known(cache, keep_xattrs=False).find(status, bits, None, has_it) is None
    assert known(None).find(status, bits, None, has_it) is None
    os.utime(tree / "large", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert found.find((tree / "large").lstat(), bits, None, has_it) is None  # ctime tells


def test_a_file_that_has_just_changed_is_not_known(tree: Path, tmp_path: Path) -> None:
    (tree / "large").touch()
    status, bits = (tree / "large").lstat(), Bits(0o644, 0, 0)
    first = known(tmp_path / "cache")
    first.add(TreeFile((), b"large", seen(status), bits, None), "ab" * 32)
    first.save()
    assert known(tmp_path / "cache").find(status, bits, None, has_it) is None


@pytest.mark.root
def test_the_cache_at_work(tree: Path, repo: Path) -> None:
    age(tree)
    assert imported_tree(repo, tree)["read"] == 2
    again = imported_tree(repo, "--subject=again", tree)
    assert (again["read"], again["cached"], again["unchanged"]) == (0, 2, False)
    # An object that is gone from the repo is made again.
    for path in (repo / "objects").glob("*/*.file"):
        path.unlink()
    assert imported_tree(repo, tree)["read"] == 2
    fsck(repo)
    assert imported_tree(repo, "--no-cache", tree)["read"] == 2
    (cache,) = (repo / "tmp/cache/import-tree").iterdir()
    *whole, last = cache.read_bytes()
    cache.write_bytes(bytes([*whole, last ^ 1]))
    outcome = run_tree(repo, tree)
    assert outcome.status == 1
    assert "is damaged" in outcome.said("error")[0]
    assert run_tree(repo, "--no-cache", tree).status == 0


@pytest.mark.root
def test_the_files_may_not_have_more_bytes_than_max_size(tree: Path, repo: Path) -> None:
    with (tree / "sparse").open("wb") as file:
        file.truncate(8 << 40)
    outcome = run_tree(repo, tree)
    assert outcome.status == 1
    assert f"{tree}/sparse: with this file there are too many bytes" in outcome.said("error")[0]
    assert "max-size" in outcome.said("hint")[0]
    (tree / "sparse").unlink()
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    assert run_tree(repo, tree, config={"max-size": f"{size - 1}"}).status == 1
    assert refs(repo) == []
    assert run_tree(repo, tree, config={"max-size": f"{size}"}).status == 0


@pytest.mark.root
def test_holes_are_not_written_out(tmp_path: Path, repo: Path) -> None:
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree/sparse").open("wb") as file:
        file.write(b"begin")
        file.truncate(200 << 20)
        file.seek(100 << 20)
        file.write(b"amid")
    imported_tree(repo, tmp_path / "tree")
    fsck(repo)
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={tmp_path}/tree")
    [stored] = [one for one in repo.rglob("*.file") if one.stat().st_size]
    assert stored.stat().st_size == 200 << 20
    assert stored.stat().st_blocks * 512 < 8 << 20


@pytest.mark.root
@pytest.mark.parametrize("size", [1, 3 << 20])
def test_xattrs_that_the_repo_s_disk_cannot_hold(tmp_path: Path, repo: Path, size: int) -> None:
    """80 kB of them, as tmpfs has them; a bare-user repo has all in one, of 64 KiB at most."""
    place = tmp_path / "root"
    place.mkdir()
    run(["mount", "-t", "tmpfs", "x", place])
    try:
        (place / "file").write_bytes(bytes(size))
        for name in ("user.a", "user.b"):
            os.setxattr(place / "file", name, bytes(40_000))
        error = run_tree(repo, place).said("error")[0]
    finally:
        unmount(place)
    assert error.startswith(f"{place}/file: ")
    assert error.endswith("Argument list too long")
