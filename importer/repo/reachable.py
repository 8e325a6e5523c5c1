"""A commit's ancestors, its objects, and the bytes that these take in the repo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from importer.repo.reader import RepoReader
    from importer.repo.values import Commit, ObjectKind, RepoDirectory

type Objects = set[tuple[ObjectKind, str]]


def ancestors(repo: RepoReader, checksum: str | None, most: int | None = None) -> Iterator[Commit]:
    """Yield a commit and its ancestors, newest first, as far as the repo has them.

    `most` is the largest number of commits to yield; None is no limit.
    """
    left = -1 if most is None else most
    while checksum is not None and left != 0 and repo.exists("commit", checksum):
        yield repo.commit(checksum)
        checksum = repo.parent(checksum)
        left -= 1


def commit_objects(repo: RepoReader, commit: Commit) -> Objects:
    """Return the commit's object and all objects that its tree needs, without its parents'."""
    found = tree_objects(repo.root(commit))
    found.add(("commit", commit.checksum))
    return found


def tree_objects(root: RepoDirectory) -> Objects:
    """Return the objects of a directory and of everything below it.

    A directory object that occurs several times is read once.
    """
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


def storage_size(repo: RepoReader, objects: Iterable[tuple[ObjectKind, str]]) -> int:
    """Return the bytes that these objects take in this repo."""
    return sum(repo.storage_size(kind, checksum) for kind, checksum in objects)
