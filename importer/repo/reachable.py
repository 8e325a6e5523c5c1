"""A commit's ancestors and objects: how many there are, and what they cost to fetch."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.frozen import frozen
from layers.limits import Limits
from layers.tree.lower import EntryCount
from layers.words import several, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.repo.reader import RepoReader
    from importer.repo.values import Commit, ObjectKind, RepoDirectory

type Objects = set[tuple[ObjectKind, str]]

# A tree has many paths if many directories are alike, as copies of a library are. A commit from
# elsewhere can name one directory a million times with a few bytes. No import makes a layer of more
# entries, unless it is told to.
_MANY = Limits().entries
_TIMES = 20
# Of ext4 and xfs, as they are made by default.
_BLOCK = 4096
_SUFFIXES: dict[str, ObjectKind] = {
    ".commit": "commit",
    ".dirtree": "dirtree",
    ".dirmeta": "dirmeta",
    ".file": "file",
    ".filez": "file",
}


@frozen
class Fetch:
    """The objects that the new commit has and the old one has not, and their bytes in this repo.

    In an archive repo these are the bytes that a pull over HTTP fetches without a static
    delta; in a bare one the files are not compressed, so a pull fetches less.
    """

    objects: int  # a number of objects, files among them
    files: int  # a number of files
    bytes: int  # their bytes, as the repo stores them
    compressed: bool  # whether these are the bytes that a pull fetches, as in an archive repo

    def __str__(self) -> str:
        counted = "compressed" if self.compressed else "not compressed"
        objects = f"{several(self.objects, 'object')}, {several(self.files, 'file')}"
        return f"{size(self.bytes)} ({counted}): {objects}"


def fetch_cost(repo: RepoReader, old: Commit | None, new: Commit) -> Fetch:
    """Return what a device with the old commit fetches for the new one.

    The old commit's parents count for nothing, since a device need not have them.
    """
    return fetch_of(repo, new_objects(repo, old, new))


def new_objects(repo: RepoReader, old: Commit | None, new: Commit) -> Objects:
    """Return the objects that the new commit has and the old one has not."""
    objects = commit_objects(repo, new)
    return objects - commit_objects(repo, old) if old is not None else objects


def fetch_of(repo: RepoReader, objects: Objects) -> Fetch:
    files = sum(kind == "file" for kind, _ in objects)
    stored = sum(repo.storage_size(kind, checksum) for kind, checksum in objects)
    return Fetch(len(objects), files, stored, repo.mode == "archive")


def space_of(repo: RepoReader, objects: Objects) -> int:
    """Return the bytes of disk that objects take at most in a device's repo: whole blocks, one at
    least for each, unpacked."""
    sizes = (
        repo.file_size(checksum) if kind == "file" else repo.storage_size(kind, checksum)
        for kind, checksum in objects
    )
    return sum(max(-(-size // _BLOCK), 1) * _BLOCK for size in sizes)


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
    """Return the commit's object and all objects that its tree needs, without its parents'.

    A directory object that occurs several times is read once.
    """
    objects: Objects = {("commit", commit.checksum)}
    work = [repo.root(commit)]
    while work:
        directory = work.pop()
        objects.add(("dirmeta", directory.meta))
        if ("dirtree", directory.contents) in objects:
            continue
        objects.add(("dirtree", directory.contents))
        objects.update(("file", checksum) for checksum in directory.leaves.values())
        work.extend(directory.directories.values())
    return objects


def loose_objects(repo: RepoReader) -> Iterator[tuple[ObjectKind, str, int]]:
    """Yield every loose object of the repo: kind, checksum, and size on disk in bytes."""
    directories = (path for path in (repo.path / "objects").iterdir() if len(path.name) == 2)
    for path in chain.from_iterable(map(Path.iterdir, directories)):
        if (kind := _SUFFIXES.get(path.suffix)) is not None:
            yield kind, path.parent.name + path.stem, path.lstat().st_size


def check_breadth(root: RepoDirectory, name: str) -> None:
    """Raise ImporterError, with the tree's name, for a tree of few entries with so many paths that
    it would take forever to visit them."""
    count = EntryCount(whiteouts=True)
    paths, entries = count.of(root), count.entries
    if paths > _MANY and paths > _TIMES * entries:
        raise ImporterError(
            f"{name} has {paths} paths, made of {len(count.below)} directories with {entries}"
            " entries",
            hint="it would take forever to visit them: the commit was made as a trap",
        )
