"""A commit's tree under construction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.ostree.objects import Stored, dirtree

if TYPE_CHECKING:
    from importer.repo.object_store import ObjectStore
    from importer.repo.values import StoredTree
    from layers.entry import Owner


class Tree:
    """A directory of a commit's tree under construction. A stored directory is read when its first
    entry changes."""

    def __init__(
        self, repo: ObjectStore, owner: Owner | str | None, stored: StoredTree | None = None
    ) -> None:
        """Begin as the stored tree, or as an empty directory with this owner."""
        self._repo = repo
        self._stored = stored
        self._files: dict[str, str] = {}
        self._directories: dict[str, Tree | StoredTree] = {}
        # The directory's own dirtree, "" before `write`, and dirmeta.
        self.contents = ""
        self.meta = stored.meta if stored is not None else ""
        if owner is not None:
            self.set_owner(owner)

    def file(self, name: str, checksum: str) -> None:
        """Add a file or symlink that is stored already."""
        self._read()
        if name in self._directories:
            raise ImporterError(f"adding {name}: Can't replace directory with file: {name}")
        self._files[_checked(name)] = checksum

    def directory(self, name: str, owner: Owner | str) -> Tree:
        """Add a sub-directory with this owner, or with this dirmeta object."""
        below = self.enter(name)
        if below is None:
            below = self._directories[self._free(name)] = Tree(self._repo, None)
        below.set_owner(owner)
        return below

    def set_owner(self, owner: Owner | str) -> None:
        """Set the directory's owner, or its dirmeta object."""
        self.meta = owner if isinstance(owner, str) else self._repo.write_dirmeta(owner)

    def enter(self, name: str) -> Tree | None:
        """Return the sub-directory of this name as it is, None if there is none."""
        self._read()
        below = self._directories.get(name)
        if below is not None and not isinstance(below, Tree):
            below = self._directories[name] = Tree(self._repo, None, below)
        return below

    def below(self, path: str) -> Tree:
        """Return the directory at this path as it is. Raise ImporterError if there is none."""
        tree = self
        for name in filter(None, path.split("/")):
            inside = tree.enter(name)
            if inside is None:
                raise ImporterError(f"{path} is not there")
            tree = inside
        return tree

    def remove(self, name: str) -> None:
        """Remove the entry of this name, if there is one."""
        self._read()
        self._files.pop(name, None)
        self._directories.pop(name, None)

    def graft(self, name: str, stored: StoredTree) -> None:
        """Add a tree that is stored already under this name, without reading it."""
        self._read()
        if name in self._directories:
            raise ImporterError(f"grafting {name}: a directory has this name")
        self._directories[self._free(name)] = stored

    def write(self) -> Stored:
        """Store the directories' objects. Return the root's dirtree and dirmeta."""
        made = [self]
        for tree in made:
            made += [below for below in tree._directories.values() if isinstance(below, Tree)]
        for tree in reversed(made):
            tree._write()
        return Stored(self.contents, self.meta)

    def _read(self) -> None:
        """Read the stored directory whose entries are about to be changed."""
        if self._stored is not None:
            before = self._repo.directory(self._stored.contents, self._stored.meta)
            self._stored = None
            self._files = {name.decode(): leaf for name, leaf in before.leaves.items()}
            self._directories = {name.decode(): sub for name, sub in before.directories.items()}

    def _free(self, name: str) -> str:
        if name in self._files:
            raise ImporterError(f"adding {name}: Can't replace file with directory: {name}")
        return _checked(name)

    def _write(self) -> None:
        if self._stored is not None:
            self.contents = self._stored.contents
            return
        files = {name.encode(): checksum for name, checksum in self._files.items()}
        directories = {
            name.encode(): Stored(below.contents, below.meta)
            for name, below in self._directories.items()
        }
        self.contents = self._repo.store("dirtree", dirtree(files, directories))


def _checked(name: str) -> str:
    if "/" in name or name in ("", ".", ".."):
        raise ImporterError(f"adding {name}: no file can have this name")
    return name
