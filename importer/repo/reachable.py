"""The objects of a commit, and what they weigh in the repo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.repo.values import Commit, ObjectKind, RepoDirectory
    from importer.repo.writer import Repo

type Objects = set[tuple[ObjectKind, str]]


def commit_objects(repo: Repo, commit: Commit) -> Objects:
    """The commit's own object and all that it needs; parents are not among them."""
    found = tree_objects(repo.root(commit))
    found.add(("commit", commit.checksum))
    return found


def tree_objects(root: RepoDirectory) -> Objects:
    """A directory's objects, with those of all that is below it; each directory object is
    looked into once, wherever it is."""
    found: Objects = set()
    work = [root]
    while work:
        directory = work.pop()
        found.add(("dirmeta", directory.meta))
        if ("dirtree", directory.contents) in found:
            continue
        found.add(("dirtree", directory.contents))
        found.update(("file", checksum) for checksum in directory.leaves.values())
        work.extend(directory.directories.values())
    return found


def storage_size(repo: Repo, objects: Iterable[tuple[ObjectKind, str]]) -> int:
    """What they take in this repo, in bytes."""
    return sum(repo.storage_size(kind, checksum) for kind, checksum in objects)
