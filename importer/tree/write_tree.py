"""Writes a closed tree's directories as objects, and puts them into a commit's tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.tree.file_batch import with_label
from layers.entry import Owner
from layers.errors import LayerError
from layers.ondisk.close_layers import settled_paths
from layers.ondisk.merge import check_whiteouts
from layers.ostree.objects import Stored, dirmeta, dirtree
from layers.path import joined
from layers.whiteout import QUOTED_PREFIX, quoted, unquoted

if TYPE_CHECKING:
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from importer.tree.scanned import Label
    from layers.ondisk.commit_filter import CommitOptions
    from layers.path import Path
    from layers.tree.translate import Settled

_FILE = 0o100000


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
        """Put the tree over what a base commit has at a place; both LayerError, with the path,
        for a name that one has and the other deletes, and ImporterError as libostree has it."""
        work: list[tuple[Path, Tree, RepoDirectory | None, Settled]] = [((), place, present, root)]
        while work:
            path, tree, before, directory = work.pop()
            _check_over(path, before, directory)
            tree.set_owner(self.meta(directory))
            for name, leaf in directory.leaves.items():
                tree.file(name.decode(), leaf.checksum)
            for name in directory.whiteouts:
                tree.file(quoted(name).decode(), self.whiteout((*path, quoted(name))))
            for name, below in directory.directories.items():
                there = before.directories.get(name) if before is not None else None
                if there is None:
                    tree.graft(name.decode(), self.write(below, (*path, name)))
                    continue
                entered = tree.enter(name.decode())
                if entered is None:
                    raise RuntimeError(f"{name!r} is gone from the base's tree")
                work.append(((*path, name), entered, there, below))


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
