"""What is read without libostree is what libostree reads; it is asked for all the rest."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer.errors import ImporterError
from importer.repo.plain_repo import PlainRepo
from importer.repo.values import Message
from importer.repo.writer import Repo
from layers.entry import Owner
from tests.tools import ostreerepo
from tests.tools.ostreerepo import Mode, ostree
from tests.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.repo.reader import RepoReader
    from importer.repo.values import ObjectKind

MODES: list[Mode] = ["bare-user", "archive", "bare"]
LINK = Owner(0o777, 3, 4)
FILE = Owner(0o4750, 5, 70000, ((b"user.a", b"value"),))
ABSENT = "0" * 64


def by_libostree(path: Path) -> Repo:
    """The repo, read by libostree alone."""
    repo = Repo.open(path)
    repo._plain = None
    return repo


def filled(path: Path) -> str:
    """Commits a tree of all kinds to a branch, with metadata that only libostree reads to another,
    and makes refs that are odd. Returns the first commit."""
    repo = Repo.open(path)
    with repo.transaction():
        tree = repo.tree(Owner(0o755, 0, 0))
        below = tree.directory("below", Owner(0o2750, 3, 4))
        below.file("file", repo.write_file(FILE, b"text\n" * 9000))
        below.file("empty", repo.write_file(FILE, b""))
        tree.file("link", repo.write_symlink(LINK, "below/file"))
        tree.write()
    texts = (("import-image.a", "text"), ("import-image.b", "ü" * 300))
    with repo.transaction():
        parent = repo.write_commit(tree, Message("subject", 1714979289, "a\nbody", texts))
        repo.set_ref("os/text", parent)
        repo.set_ref("os/child", repo.write_commit(tree, Message("", 0), parent=parent))
    ostree(path, "commit", "--branch=os/typed", "--add-metadata=key=true", f"--tree=ref={parent}")
    heads = path / "refs/heads"
    (heads / "alias").symlink_to("os/text")
    (heads / "dangling").symlink_to("nowhere")
    (heads / "damaged").write_text("no checksum\n")
    (heads / "short").write_text(parent)
    os.mkfifo(heads / "os/.fifo")
    return parent


def answer(ask: Callable[[], object]) -> object:
    """What is answered, or the error."""
    try:
        return ask()
    except ImporterError as error:
        # Of an empty file libostree 2025.2 prints a size that it has not read.
        return re.sub(r"header size .*", "header size", str(error)), error.hint


def content(repo: RepoReader, checksum: str) -> tuple[object, ...]:
    kinds: tuple[ObjectKind, ...] = ("commit", "dirtree", "dirmeta", "file")
    return (
        answer(lambda: b"".join(repo.content(checksum))),
        [repo.exists(kind, checksum) for kind in kinds],
    )


def everything(repo: Repo, commit: str) -> list[object]:
    """All that a repo answers about its refs, this commit and its files."""
    names = ["os/text", "os/child", "os/typed", "os", "os/text/below", "alias", "damaged", "short"]
    names += [
        "absent",
        "absent/below",
        "dangling",
        "../config",
        "/etc/passwd",
        "os//text",
        "a b",
        "",
        commit,
    ]
    found = [answer(partial(repo.resolve, name)) for name in names]
    heads = [head for head in found[:3] if isinstance(head, str)]
    found += [answer(partial(repo.commit, head)) for head in heads]
    found += [repo.parent(head) for head in heads]
    root = repo.root(repo.commit(commit))
    below = root.directories[b"below"]
    found += [root.leaves, {name: sub.contents for name, sub in root.directories.items()}]
    found += [
        content(repo, checksum) for checksum in (*below.leaves.values(), root.leaves[b"link"])
    ]
    found += [content(repo, ABSENT), answer(lambda: repo.commit(ABSENT))]
    return [*found, answer(partial(leaves, repo, ABSENT))]


def leaves(repo: Repo, checksum: str) -> object:
    return repo.directory(checksum, ABSENT).leaves


@pytest.mark.root
@pytest.mark.parametrize("mode", MODES)
def test_the_answers_of_libostree(tmp_path: Path, mode: Mode) -> None:
    path = ostreerepo.init(tmp_path / "repo", mode)
    commit = filled(path)
    assert (PlainRepo.open(path) is None) == (mode == "bare")
    found = everything(Repo.open(path), commit)
    assert found == everything(by_libostree(path), commit)
    assert found[:3] != [None] * 3


@pytest.mark.parametrize("mode", MODES[:2])
def test_a_repo_whose_objects_a_parent_has(tmp_path: Path, mode: Mode) -> None:
    whole = ostreerepo.init(tmp_path / "parent", mode)
    commit = filled(whole)
    path = ostreerepo.init(tmp_path / "repo", mode)
    ostree(path, "config", "set", "core.parent", str(whole))
    run(["cp", "-a", whole / "refs/heads/os", path / "refs/heads"])
    found = everything(Repo.open(path), commit)
    assert found == everything(by_libostree(path), commit)
    assert found[0] == commit
    with Repo.open(path).transaction() as transaction:
        transaction.abandon()


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "other", "directory"])
@pytest.mark.parametrize("suffix", ["commit", "dirtree", "filez", "file"])
def test_damaged_objects(tmp_path: Path, suffix: str, damage: str) -> None:
    path = ostreerepo.init(tmp_path / "repo", "archive" if suffix == "filez" else "bare-user")
    filled(path)
    objects = sorted((path / "objects").glob(f"*/*.{suffix}"))
    for place in objects:
        whole = place.read_bytes()
        place.unlink()
        if damage == "directory":
            place.mkdir()
        elif damage != "gone":
            place.write_bytes({"cut": whole[:-9], "empty": b"", "other": b"\xff" * 99}[damage])

    def all_of(repo: Repo) -> list[object]:
        names = [place.parent.name + place.stem for place in objects]
        if suffix == "commit":
            return [answer(partial(repo.commit, name)) for name in names]
        if suffix == "dirtree":
            return [answer(partial(leaves, repo, name)) for name in names]
        return [content(repo, name) for name in names]

    assert all_of(Repo.open(path)) == all_of(by_libostree(path))


def test_a_commit_that_was_pulled_in_part_only(tmp_path: Path) -> None:
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    commit = filled(path)
    assert not Repo.open(path).commit(commit).partial
    (path / f"state/{commit}.commitpartial").touch()
    assert Repo.open(path).commit(commit).partial


@pytest.mark.parametrize(
    "line",
    ["mode=bare", "mode=bare-user-only", "mode=bare-user ", "repo_version=2", "locking=false",
     "locking=0", "nonsense"],
)  # fmt: skip
def test_configs_that_are_left_to_libostree(tmp_path: Path, line: str) -> None:
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    assert PlainRepo.open(path) is not None
    with (path / "config").open("a") as config:
        config.write(f"[core]\n{line}\n")
    assert PlainRepo.open(path) is None


def test_the_lock_keeps_a_prune_out_and_waits_for_one(tmp_path: Path) -> None:
    path = ostreerepo.init(tmp_path / "repo", "bare-user")
    filled(path)
    ostree(path, "config", "set", "core.lock-timeout-secs", "1")
    ours, theirs = Repo.open(path), by_libostree(path)
    assert (path / ".lock").exists()
    with ours.locked(), ours.locked(), theirs.locked():
        with pytest.raises(ImporterError, match="exclusively"), theirs.locked_alone(lambda: None):
            pass
        with pytest.raises(ImporterError, match="exclusively"), ours.locked_alone(lambda: None):
            pass
    refused = pytest.raises(ImporterError, match="locking")
    with theirs.locked_alone(lambda: None), refused, ours.locked():
        pass
    with theirs.locked_alone(lambda: None):
        pass
    with ours.locked_alone(lambda: None), ours.locked():
        pass
    (path / ".lock").unlink()
    with ours.locked():
        pass
