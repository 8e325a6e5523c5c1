"""Directories that are taken from the cache as a whole: the commit stays `ostree commit`'s."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from importer.tree.cache_file import CacheFile
from tests.tools.ostreerepo import fsck, ostree
from tests.tools.treecommit import BRANCH, age, imported_tree, objects, ostree_commit

pytestmark = pytest.mark.root

DEEP = "usr/share/doc"


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose files are old enough for the cache, and a repo that has it."""
    place = tmp_path_factory.mktemp("aged")
    tree = place / "tree"
    for name in (DEEP, "usr/share/man", "usr/lib/a", "etc", "empty"):
        (tree / name).mkdir(parents=True)
        if name != "empty":
            (tree / name / "file").write_text(name)
    (tree / "usr/lib/a/link").symlink_to("file")
    (tree / "usr/lib/other").hardlink_to(tree / "etc/file")
    (tree / "usr/share/näme").write_text("")
    ostree(place, "init", "--mode=bare-user", f"--repo={place}/repo")
    age(tree)
    assert imported_tree(place / "repo", tree)["read"] == 6
    return place


def check(place: Path, *, files: int) -> int:
    """Commits, and compares with `ostree commit`; how many files were read."""
    document = imported_tree(place / "repo", place / "tree")
    read, cached = int(str(document["read"])), int(str(document["cached"]))
    assert document["files"] == files
    assert read + cached in (files, files - 1)  # a file with two names is read once
    assert objects(place / "repo") == ostree_commit(place / "repo", f"--tree=dir={place}/tree")
    fsck(place / "repo")
    return read


def test_nothing_has_changed(aged: Path) -> None:
    (cache,) = (aged / "repo/tmp/cache/import-tree").iterdir()
    assert len(CacheFile(cache).directories) == 9
    again = imported_tree(aged / "repo", aged / "tree")
    assert (again["unchanged"], again["read"], again["cached"]) == (True, 0, 7)
    assert again["directories"] == 9


CHANGES: dict[str, Callable[[Path], object]] = {
    "a mode": lambda tree: (tree / DEEP).chmod(0o700),
    "an xattr": lambda tree: os.setxattr(tree / DEEP, "user.x", b"value"),
    "a directory's name": lambda tree: (tree / "usr/lib/a").rename(tree / "usr/lib/b"),
    "a directory's place": lambda tree: (tree / "usr/lib/b").rename(tree / "etc/b"),
    "two directories swapped": lambda tree: swap(tree / "etc/b", tree / "usr/share/man"),
    "a new directory": lambda tree: (tree / DEEP / "new/er").mkdir(parents=True),
}


def swap(one: Path, other: Path) -> None:
    """Gives two directories each other's names; neither is changed itself."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize("change", CHANGES)
def test_a_directory_changes(aged: Path, change: str) -> None:
    """One change after the other, in the one tree."""
    CHANGES[change](aged / "tree")
    assert check(aged, files=7) == 0


def test_a_file_changes_in_place(aged: Path) -> None:
    """Its directory does not change, and those above are known but for this one file."""
    with (aged / "tree" / DEEP / "file").open("r+") as file:
        file.write("other")
    assert check(aged, files=7) == 1


def test_a_file_comes_and_goes(aged: Path) -> None:
    """How many files are read depends on how long ago the last change was."""
    new = aged / "tree/usr/share/new"
    new.write_text("new")
    check(aged, files=8)
    new.unlink()
    check(aged, files=7)


@pytest.mark.parametrize("suffix", ["dirtree", "dirmeta", "file"])
def test_lost_objects_are_made_again(aged: Path, suffix: str) -> None:
    """As all of a branch's are that somebody deleted and pruned."""
    age(aged / "tree")
    imported_tree(aged / "repo", aged / "tree")
    for kind in (suffix, "commit"):
        for path in (aged / "repo/objects").glob(f"*/*.{kind}"):
            path.unlink()
    ostree(aged / "repo", "refs", "--delete", BRANCH)
    ostree(aged / "repo", "refs", "--delete", "theirs")
    assert check(aged, files=7) == (6 if suffix == "file" else 0)


def test_options_that_change_files_miss_the_cache(aged: Path) -> None:
    arguments = ["--owner-uid=5", f"--tree=dir={aged}/tree"]
    imported_tree(aged / "repo", "--owner-uid=5", aged / "tree")
    assert objects(aged / "repo") == ostree_commit(aged / "repo", *arguments)
    bare = imported_tree(aged / "repo", "--no-xattrs", aged / "tree")
    assert bare["read"] == 6
    assert objects(aged / "repo") == ostree_commit(
        aged / "repo", "--no-xattrs", f"--tree=dir={aged}/tree"
    )
