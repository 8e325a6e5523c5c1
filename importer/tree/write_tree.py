"""Write a closed tree's directories as objects, and put them into a commit's tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from importer.tree.file_batch import with_label
from layers.entry import Owner
from layers.errors import LayerError, within
from layers.ondisk.close_layers import check_whiteouts
from layers.path import joined
from layers.tree.lower import each_directory
from layers.tree.translate import write_settled
from layers.whiteout import QUOTED_PREFIX, quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.tree.scanned import Label
    from layers.ondisk.commit_filter import CommitOptions
    from layers.ostree.objects import Stored
    from layers.path import Path
    from layers.tree.translate import Settled

_FILE = 0o100000


class _Overlaid(NamedTuple):
    """A directory of the tree, and the base commit's directory at its path, None if it has none."""

    path: Path
    tree: Tree
    before: RepoDirectory | None
    directory: Settled


class TreeWriter:
    """Write a tree's directories in a repo's transaction; its files are stored already."""

    def __init__(self, repo: Repo, options: CommitOptions, label: Label | None) -> None:
        self._repo = repo
        canonical = options.canonical_permissions
        uid, gid = (0, 0) if canonical else (options.owner_uid or 0, options.owner_gid or 0)
        self._owner = Owner(0, uid, gid)
        self._label = label
        self._whiteouts: dict[bytes | None, str] = {}
        # The objects of the directories, by their paths.
        self.written: dict[Path, Stored] = {}

    def write(self, root: Settled, path: Path = ()) -> Stored:
        """Store all directories of the tree at `path`. Return its root's dirtree and dirmeta."""
        paths = {directory: here for here, directory in each_directory(root, path)}

        def whiteout(directory: Settled, name: bytes) -> str:
            return self.whiteout((*paths[directory], quoted(name)))

        stored = write_settled(root, self._repo.write_meta, whiteout)
        self.written |= {paths[directory]: made for directory, made in stored.items()}
        return stored[root]

    def whiteout(self, path: Path) -> str:
        """Store the empty file that quotes a whiteout at the path. Return its checksum.

        The file is the one that import-image writes, with the label that `ostree commit` gives it.
        """
        label = self._label(b"/" + joined(path), _FILE) if self._label is not None else None
        if label not in self._whiteouts:
            owner = self._owner._replace(xattrs=with_label((), label))
            self._whiteouts[label] = self._repo.write_file(owner, b"")
        return self._whiteouts[label]

    def overlay(self, place: Tree, present: RepoDirectory | None, root: Settled) -> None:
        """Merge the tree into the base commit's tree at `place`; `present` is its directory there.

        Raise LayerError for a name that one tree has and the other deletes. Raise ImporterError
        for a file where the other tree has a directory. Both have the path.
        """
        work = [_Overlaid((), place, present, root)]
        while work:
            here = work.pop()
            _check_over(here.path, here.before, here.directory)
            with within(path=joined(here.path) or None):
                work += self._overlay(here)

    def _overlay(self, here: _Overlaid) -> Iterator[_Overlaid]:
        """Write a directory's entries, and yield the sub-directories that the base has as well."""
        here.tree.set_owner(here.directory.meta)
        for name, leaf in here.directory.leaves.items():
            here.tree.file(name.decode(), leaf.checksum)
        for name in here.directory.whiteouts:
            path = (*here.path, quoted(name))
            here.tree.file(quoted(name).decode(), self.whiteout(path))
        for name, below in here.directory.directories.items():
            path = (*here.path, name)
            there = here.before.directories.get(name) if here.before is not None else None
            entered = here.tree.enter(name.decode()) if there is not None else None
            if entered is None:
                here.tree.graft(name.decode(), self.write(below, path))
            else:
                yield _Overlaid(path, entered, there, below)


def _check_over(path: Path, before: RepoDirectory | None, directory: Settled) -> None:
    if before is None:
        return
    names = {*before.leaves, *before.directories}
    check_whiteouts(path, directory.whiteouts, names)
    for name in names:
        hidden = unquoted(name)
        if hidden is not None and (hidden in directory.leaves or hidden in directory.directories):
            raise LayerError(
                f"the base commit deletes this name by a whiteout ({QUOTED_PREFIX.decode()}…)",
                path=joined((*path, hidden)),
                hint="leave the name out of the tree, or the whiteout out of the base",
            )
