"""Writes a closed tree's directories as objects, and puts them into a commit's tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from importer.errors import ImporterError
from importer.tree.file_batch import with_label
from layers.entry import Owner
from layers.errors import LayerError
from layers.ondisk.close_layers import settled_paths
from layers.ondisk.merge import check_whiteouts
from layers.ostree.objects import Stored, dirmeta, dirtree
from layers.path import joined
from layers.whiteout import QUOTED_PREFIX, quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.tree.scanned import Label
    from layers.ondisk.commit_filter import CommitOptions
    from layers.path import Path
    from layers.tree.translate import Settled

_FILE = 0o100000


class _Overlaid(NamedTuple):
    """A directory of the tree that goes over the one that the base commit has, if it has one."""

    path: Path
    tree: Tree
    before: RepoDirectory | None
    directory: Settled


class TreeWriter:
    """Writes to a repo's transaction; all files of the tree are stored already."""

    def __init__(self, repo: Repo, options: CommitOptions, label: Label | None) -> None:
        self._repo = repo
        self._owner = Owner(0, options.owner_uid or 0, options.owner_gid or 0)
        self._label = label
        self._whiteouts: dict[bytes | None, str] = {}
        self._metas: dict[Owner | str, str] = {}

    def write(self, root: Settled, path: Path = ()) -> Stored:
        """Store all directories of the tree, which is at `path`; its root's objects."""
        stored: dict[int, Stored] = {}
        for here, directory in reversed(settled_paths(root, path)):  # what is below comes first
            files = {name: leaf.checksum for name, leaf in directory.leaves.items()}
            for name in directory.whiteouts:
                files[quoted(name)] = self.whiteout((*here, quoted(name)))
            below = {name: stored.pop(id(one)) for name, one in directory.directories.items()}
            contents = self._repo.write_meta("dirtree", dirtree(files, below))
            stored[id(directory)] = Stored(contents, self.meta(directory))
        return stored[id(root)]

    def meta(self, directory: Settled) -> str:
        """Store a directory's owner, mode and xattrs; the dirmeta object's checksum."""
        owner = directory.meta
        if isinstance(owner, str):
            return owner
        if owner not in self._metas:
            self._metas[owner] = self._repo.write_meta("dirmeta", dirmeta(owner))
        return self._metas[owner]

    def whiteout(self, path: Path) -> str:
        """Store the empty file that quotes a whiteout at the path; its checksum.

        As import-image writes it, but with the label that `ostree commit` would give it.
        """
        label = self._label(b"/" + joined(path), _FILE) if self._label is not None else None
        if label not in self._whiteouts:
            owner = self._owner._replace(xattrs=with_label((), label))
            self._whiteouts[label] = self._repo.write_file(owner, b"")
        return self._whiteouts[label]

    def overlay(self, place: Tree, present: RepoDirectory | None, root: Settled) -> None:
        """Put the tree over what a base commit has at a place.

        Raise LayerError for a name that one has and the other deletes, ImporterError for a file
        in a directory's place; both with the path.
        """
        work = [_Overlaid((), place, present, root)]
        while work:
            here = work.pop()
            _check_over(here.path, here.before, here.directory)
            try:
                work += self._overlay(here)
            except ImporterError as error:
                raise error.within(path=joined(here.path) or None) from None

    def _overlay(self, here: _Overlaid) -> Iterator[_Overlaid]:
        """Put a directory's own entries in place; yield those that the base has, too."""
        here.tree.set_owner(self.meta(here.directory))
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
