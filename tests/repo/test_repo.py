"""The objects that we write are those that the command `ostree` makes of the same files."""

import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.repo.values import Message
from importer.repo.writer import Repo
from layers.chunks import Chunks
from layers.entry import Owner
from layers.ostree.objects import Stored, dirmeta, dirtree
from tests.tools import ostreerepo
from tests.tools.ostreerepo import Mode, ostree
from tests.tools.process import run

CAPABILITY = (b"security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
USER = (b"user.a", b"\x00\xff=")
FILES = {
    "empty": (Owner(0o644, 0, 0), b""),
    "text": (Owner(0o600, 1000, 1001), b"text\n"),
    "setuid": (Owner(0o4755, 0, 0), b"#!"),
    "secret": (Owner(0, 65534, 65534), b"x"),
    "large-owner": (Owner(0o1777, 2**31, 2**32 - 2), b"x"),
    "capability": (Owner(0o755, 0, 0, (CAPABILITY,)), b"x"),
    "xattrs": (Owner(0o644, 5, 6, (CAPABILITY, USER)), b"x" * 100_000),
}
LINKS = {"link": (Owner(0o777, 0, 0), "target"), "far": (Owner(0o777, 7, 8), "../é/nowhere" * 50)}
MODES: tuple[Mode, ...] = ("bare-user", "archive", "bare")


def on_disk(root: Path) -> Path:
    """The same files in a directory, for `ostree commit`."""
    root.mkdir()
    for name, (owner, content) in FILES.items():
        path = root / name
        path.write_bytes(content)
        os.chown(path, owner.uid, owner.gid)
        path.chmod(owner.mode)
        for key, value in owner.xattrs:
            os.setxattr(path, key, value)
    for name, (owner, target) in LINKS.items():
        (root / name).symlink_to(target)
        os.lchown(root / name, owner.uid, owner.gid)
    return root


def ours(repo: Repo) -> str:
    """A commit of them, as a layer's is made."""
    with repo.transaction():
        tree = repo.tree(Owner(0o755, 0, 0))
        for name, (owner, content) in FILES.items():
            tree.file(name, repo.write_file(owner, content))
        for name, (owner, target) in LINKS.items():
            tree.file(name, repo.write_symlink(owner, target))
        below = tree.directory("directory", Owner(0o2750, 3, 4, (USER,)))
        below.directory("sub", Owner(0o1777, 0, 0))
        tree.write()
    with repo.transaction():
        commit = repo.write_commit(tree, Message("subject", 1714979289))
        repo.set_ref("ours", commit)
    return commit


@pytest.mark.root
@pytest.mark.parametrize("mode", MODES)
def test_the_same_tree_as_ostree_commits(tmp_path: Path, mode: Mode) -> None:
    path = ostreerepo.init(tmp_path / "repo", mode)
    ours(Repo.open(path))
    root = on_disk(tmp_path / "tree")
    (root / "directory/sub").mkdir(parents=True)
    (root / "directory/sub").chmod(0o1777)
    os.chown(root / "directory", 3, 4)
    (root / "directory").chmod(0o2750)
    os.setxattr(root / "directory", USER[0], USER[1])
    ostreerepo.commit(path, "theirs", root)
    listed = [
        ostree(path, "ls", "--recursive", "--checksum", "--xattrs", ref)
        for ref in ("ours", "theirs")
    ]
    assert listed[0] == listed[1]
    ostreerepo.fsck(path)


@pytest.mark.root
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", MODES)
def test_a_large_file_is_the_same_object_as_a_small_one(tmp_path: Path, mode: Mode) -> None:
    def pieces() -> Chunks:
        for _ in range(9):
            yield b"x" * 1_000_001

    repo = Repo.open(ostreerepo.init(tmp_path / "repo", mode))
    owner = Owner(0o644, 5, 6, (USER,))
    with repo.transaction():
        whole = repo.write_file(owner, b"".join(pieces()))
        assert repo.write_large_file(owner, 9_000_009, pieces()) == whole
        assert b"".join(repo.content(whole)) == b"".join(pieces())
    assert b"".join(repo.content(whole)) == b"".join(pieces())


@contextmanager
def only_two_descriptors() -> Iterator[None]:
    """This process can open two files, and no third."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(one.name) for one in Path("/proc/self/fd").iterdir()) + 3
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        os.close(held.pop())
        os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)


@pytest.mark.root
def test_a_large_file_for_which_there_is_no_descriptor(tmp_path: Path) -> None:
    """The writer must not wait for a reader that could not begin."""
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", "bare"))
    chunks = repeat(b"x" * 1_000_000, 9)
    refused = pytest.raises(ImporterError, match="Too many open files")
    with repo.transaction(), only_two_descriptors(), refused:
        repo.write_large_file(Owner(0o644, 0, 0), 9_000_000, chunks)


def test_the_same_commit_in_every_mode(tmp_path: Path) -> None:
    modes = MODES if os.geteuid() == 0 else MODES[:2]
    repos = [Repo.open(ostreerepo.init(tmp_path / mode, mode)) for mode in modes]
    assert len({ours(repo) for repo in repos}) == 1


def test_reading_back(tmp_path: Path) -> None:
    repo = Repo.open(tmp_path / "repo", create=True)
    commit = repo.commit(ours(repo))
    root = repo.root(commit)
    assert set(root.leaves) == {name.encode() for name in [*FILES, *LINKS]}
    assert set(root.directories) == {b"directory"}
    assert root.read("text") == b"text\n"
    assert root.read("absent") is None
    assert root.find("directory/sub") is not None
    assert root.find("directory/absent/sub") is None
    assert commit.message == Message("subject", 1714979289)


def test_a_graft_is_the_tree_it_is_made_of(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    repo = Repo.open(path, create=True)
    commit = repo.commit(ours(repo))
    with repo.transaction():
        tree = repo.tree(Owner(0o755, 0, 0))
        tree.directory("a", Owner(0o700, 0, 0)).graft("b", commit)
        tree.write()
    with repo.transaction():
        repo.set_ref("grafted", repo.write_commit(tree, Message("", 0)))
    below = [
        line.replace("/a/b", "")
        for line in ostree(path, "ls", "-RC", "grafted", "/a/b").splitlines()
    ]
    plain = ostree(path, "ls", "-RC", "ours").splitlines()
    assert below[1:] == plain[1:]


# -- refs --


def test_a_branch_is_found_by_its_whole_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    repo = Repo.open(path, create=True)
    commit = ours(repo)
    with repo.transaction():
        repo.set_ref("a/b", commit)
    assert repo.resolve("a/b") == commit
    for absent in ("a", "a/bb", "b", commit[:8], commit[:1]):
        assert repo.resolve(absent) is None


def test_no_branch_lies_below_another(tmp_path: Path) -> None:
    repo = Repo.open(tmp_path / "repo", create=True)
    commit = ours(repo)
    with pytest.raises(ImporterError) as caught:
        repo.check_place("ours/below")
    assert "--branch" in caught.value.hint

    def set_ref(name: str) -> None:
        with repo.transaction():
            repo.set_ref(name, commit)

    set_ref("a/b")
    with pytest.raises(ImporterError) as caught:
        set_ref("a")
    assert "--branch" in caught.value.hint


def test_a_remotes_branch_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    repo = Repo.open(path, create=True)
    commit = ours(repo)
    (path / "refs/remotes/server").mkdir()
    (path / "refs/remotes/server/theirs").write_text(commit + "\n")
    assert ostreerepo.rev_parse(path, "theirs") == commit
    assert repo.resolve("theirs") is None


# -- what a repo cannot hold, and what is none --


@pytest.mark.parametrize(
    "owner",
    [Owner(0o644, 1, 0), Owner(0o644, 0, 1), Owner(0o4755, 0, 0), Owner(0o666, 0, 0),
     Owner(0o644, 0, 0, (USER,))],
    ids=["uid", "gid", "setuid", "writable for all", "xattrs"],
)  # fmt: skip
def test_bare_user_only(tmp_path: Path, owner: Owner) -> None:
    ostree(tmp_path, "init", "--mode=bare-user-only", f"--repo={tmp_path / 'repo'}")
    repo = Repo.open(tmp_path / "repo")
    repo.check_writable()
    with repo.transaction():
        repo.write_file(Owner(0o755, 0, 0), b"fits")
        with pytest.raises(ImporterError, match="bare-user-only") as caught:
            repo.write_file(owner, b"")
        with pytest.raises(ImporterError, match="bare-user-only"):
            repo.write_dirmeta(owner)
    assert caught.value.hint


def test_a_mode_that_libostree_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    ostree(tmp_path, "init", "--mode=bare-user", f"--repo={path}")
    config = path / "config"
    config.write_text(config.read_text().replace("mode=bare-user", "mode=bare-split-xattrs"))
    with pytest.raises(ImporterError, match="bare-split-xattrs"):
        Repo.open(path).check_writable()


def test_a_repo_is_made_where_there_is_none(tmp_path: Path) -> None:
    assert Repo.open(tmp_path / "some/where", create=True).mode == "bare-user"
    (tmp_path / "empty").mkdir()
    assert Repo.open(tmp_path / "empty", create=True).mode == "bare-user"
    with pytest.raises(ImporterError):
        Repo.open(tmp_path / "absent")


@pytest.mark.parametrize("left", [["config"], ["config", "tmp"], ["config", "tmp", "refs"]])
def test_a_repo_that_was_half_made(tmp_path: Path, left: list[str]) -> None:
    path = tmp_path / "repo"
    Repo.open(path, create=True)
    for entry in path.iterdir():
        if entry.name not in left:
            run(["rm", "-r", entry])
    assert Repo.open(path, create=True).mode == "bare-user"
    ostreerepo.fsck(path)


def test_a_directory_of_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImporterError) as caught:
        Repo.open(tmp_path, create=True)
    assert "--repo" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_transactions_begin_and_end_side_by_side(repo: Path) -> None:
    """So many that libostree gives one's directory to another again and again."""
    ostree(repo, "config", "set", "core.fsync", "false")  # which would only take time
    opened = Repo.open(repo)

    def some() -> None:
        for _ in range(400):
            with opened.again().transaction():
                pass

    with opened.locked(), ThreadPoolExecutor(6) as pool:
        running = [pool.submit(some) for _ in range(6)]
    for one in running:
        one.result()
    with opened.locked_alone(pytest.fail):
        pass  # nobody has kept the lock


@pytest.mark.parametrize("mode", MODES)
def test_directories_may_be_given_as_the_bytes_of_their_objects(tmp_path: Path, mode: Mode) -> None:
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", mode))
    with repo.transaction():
        file = repo.write_file(Owner(0o644, 0, 0), b"text\n")
        below = Stored(
            repo.write_meta("dirtree", dirtree({b"file": file}, {})),
            repo.write_meta("dirmeta", dirmeta(Owner(0o2750, 3, 4, (USER,)))),
        )
        root = repo.write_meta("dirtree", dirtree({}, {b"below": below}))
        tree = repo.tree_of(Stored(root, repo.write_meta("dirmeta", dirmeta(Owner(0o755, 0, 0)))))
        tree.write()
    with repo.transaction():
        repo.set_ref("ours", repo.write_commit(tree, Message("ours", 0)))
    ostreerepo.fsck(repo.path)
    directory = tmp_path / "tree"
    (directory / "below").mkdir(parents=True, mode=0o755)
    (directory / "below/file").write_text("text\n")
    os.setxattr(directory / "below", "user.a", USER[1])
    os.chown(directory / "below", 3, 4)
    (directory / "below").chmod(0o2750)
    ostreerepo.commit(repo.path, "theirs", directory)
    assert ostree(repo.path, "diff", "ours", "theirs") == ""
    listed = [ostree(repo.path, "ls", "-R", "-C", "-X", ref) for ref in ("ours", "theirs")]
    assert listed[0] == listed[1]
