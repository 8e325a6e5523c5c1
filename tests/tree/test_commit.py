"""import-tree commits what `ostree commit` commits: the same objects, by the same options."""

from pathlib import Path

import pytest

from fixtures.images import real_image
from tests.commit.test_selinux import POLICY
from tests.tools import ostreerepo
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, fsck, ls, ostree, rev_parse
from tests.tools.process import run
from tests.tools.treecommit import (
    BRANCH,
    age,
    imported_tree,
    objects,
    ostree_commit,
    plain_tree,
    run_tree,
)
from tests.tools.umoci import unpack

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that no test changes."""
    return plain_tree(tmp_path_factory.mktemp("plain") / "tree")


@pytest.mark.parametrize("mode", ["bare-user", "archive", "bare", "bare-user-only"])
def test_the_tree_is_ostree_s_in_every_mode(plain: Path, tmp_path: Path, mode: str) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    ostree(repo, "init", f"--mode={mode}")
    document = imported_tree(repo, plain)
    fsck(repo)
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={plain}")
    assert f"{document['dirtree']} {document['dirmeta']}" == objects(repo)
    assert document["files"] == 8


OPTIONS = {
    "owner": ["--owner-uid=5", "--owner-gid=0"],
    "no-xattrs": ["--no-xattrs"],
    "canonical": ["--canonical-permissions"],
    "statoverride": ["--statoverride={lists}/modes"],
    "sets-a-mode-that-nothing-has": ["--statoverride={lists}/unused"],
    "skip-list": ["--skip-list={lists}/skips"],
    "selinux": ["--selinux-policy={policy}"],
    "selinux-and-canonical": ["--selinux-policy={policy}", "--canonical-permissions"],
}


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory, plain: Path) -> dict[str, Path]:
    """The files that the options name."""
    lists = tmp_path_factory.mktemp("lists")
    # What `ostree commit` does with an added mode of a directory is nothing, but at the root.
    modes = "2048 /a\n=448 /dir/b\n+64 /dir\n=1023 /dir/sub\n16 /\n\n"
    (lists / "modes").write_text(modes)
    (lists / "unused").write_text("=448 /nothing\n=448 /a\n")
    (lists / "skips").write_text("/dir/sub\n/dangling\n/usr/bin/su\n")
    return {"lists": lists, "policy": os_tree(lists / "policy", POLICY)}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_do_what_ostree_s_do(
    plain: Path, lists: dict[str, Path], repo: Path, name: str
) -> None:
    options = [option.format(**lists) for option in OPTIONS[name]]
    imported_tree(repo, *options, plain)
    assert objects(repo) == ostree_commit(repo, *options, f"--tree=dir={plain}")
    fsck(repo)


def test_several_trees_lie_over_each_other(plain: Path, tmp_path: Path, repo: Path) -> None:
    second = os_tree(tmp_path / "second", {**POLICY, "dir/sub/large": "small", "a": "other\n"})
    (second / "dir").chmod(0o700)
    skips = tmp_path / "skips"
    skips.write_text("/dir/sub\n")  # in the first tree alone, as ostree has it
    options = [f"--skip-list={skips}"]
    trees = [f"--tree=dir={plain}", f"--tree=dir={second}"]
    imported_tree(repo, *options, plain, second)
    assert objects(repo) == ostree_commit(repo, *options, *trees)
    imported_tree(repo, "--selinux-policy=base", second, plain)
    assert objects(repo) == ostree_commit(repo, "--selinux-policy-from-base", *reversed(trees))


def test_a_debian_root(tmp_path: Path, repo: Path) -> None:
    built = real_image.build(tmp_path / "layout", "real")
    root = unpack(built.layout, built.tag, tmp_path / "root")
    document = imported_tree(repo, root)
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={root}")
    age(root)
    imported_tree(repo, root)  # now all of its files are old enough for the cache
    (root / "etc/passwd").write_text("changed\n")
    again = imported_tree(repo, root)
    assert again["read"] == 1
    assert again["cached"] == document["files"] - 1  # type: ignore[operator]
    assert objects(repo) == ostree_commit(repo, f"--tree=dir={root}")
    fsck(repo)


def test_a_commit_has_the_head_as_its_parent(plain: Path, tmp_path: Path, repo: Path) -> None:
    first = run_tree(repo, "--subject=one", plain).stdout.strip()
    same = run_tree(repo, "--subject=one", "--unchanged-exit-77", plain)
    assert (same.status, same.stdout.strip()) == (77, first)
    other = run_tree(repo, "--subject=two", "--timestamp=@7", plain).stdout.strip()
    assert rev_parse(repo, f"{other}^") == first
    assert rev_parse(repo, BRANCH) == other
    shown = ostree(repo, "show", other)
    assert "two" in shown
    assert "1970-01-01 00:00:07" in shown


@pytest.mark.parametrize(
    ("content", "option", "said"),
    [
        ("/nothing\n", "--skip-list", "no tree has these paths"),
        ("8 /nothing\n", "--statoverride", "no tree has these paths"),
        ("rwx /a\n", "--statoverride", "line 1 is not of the form"),
        ("=65535 /a\n", "--statoverride", "4095 (octal 7777) is the largest"),
        ("/\n", "--skip-list", "leaves nothing to commit"),
    ],
)
def test_lists_that_cannot_be_meant(
    plain: Path, tmp_path: Path, repo: Path, content: str, option: str, said: str
) -> None:
    (tmp_path / "list").write_text(content)
    outcome = run_tree(repo, f"{option}={tmp_path}/list", plain)
    assert outcome.status == 1
    assert said in outcome.said("error")[0]
    assert ostreerepo.refs(repo) == []


def test_onto_an_operating_system(plain: Path, tmp_path: Path, repo: Path) -> None:
    base = os_tree(tmp_path / "os", {"opt/tree/usr/old": "kept\n", "opt/tree/a": "replaced\n"})
    commit_os(repo, "os/base", base)
    imported_tree(repo, "--onto=os/base", "--prefix=/opt/tree", plain)
    trees = ("--tree=ref=os/base", f"--tree=dir={tmp_path}/at")
    (tmp_path / "at/opt").mkdir(parents=True)
    plain_copy = tmp_path / "at/opt/tree"
    run(["cp", "-a", plain, plain_copy])
    assert objects(repo) == ostree_commit(repo, *trees)
    assert "/opt/tree/usr/old" in ls(repo, BRANCH)
    fsck(repo)


def test_a_file_does_not_replace_a_directory_of_the_base(
    plain: Path, tmp_path: Path, repo: Path
) -> None:
    commit_os(repo, "os/base", os_tree(tmp_path / "os", {"dir/b/c": ""}))
    outcome = run_tree(repo, "--onto=os/base", plain)
    assert outcome.status == 1
    assert "dir: adding b: Can't replace directory with file" in outcome.said("error")[0]


def test_without_a_base_the_prefix_is_made(plain: Path, tmp_path: Path, repo: Path) -> None:
    imported_tree(repo, "--prefix=/usr/lib/x", plain)
    out = checkout(repo, BRANCH, tmp_path / "out")
    assert (out / "usr/lib/x/a").read_text() == "a\n"
    assert (out / "usr").stat().st_mode & 0o7777 == 0o755
