"""A commit's tree under construction: libostree's mutable tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.repo.libostree import Gio, GLib, OSTree, faults

if TYPE_CHECKING:
    from importer.repo.object_store import ObjectStore
    from importer.repo.values import StoredTree
    from layers.entry import Owner


class Tree:
    """A directory of a commit's tree under construction."""

    def __init__(
        self, repo: ObjectStore, mtree: OSTree.MutableTree, owner: Owner | str | None
    ) -> None:
        self._repo = repo
        self._mtree = mtree
        self._root: Gio.File | None = None
        if owner is not None:
            self.set_owner(owner)

    def file(self, name: str, checksum: str) -> None:
        """Add a file or symlink that is stored already."""
        with faults(f"adding {name}"):
            self._mtree.replace_file(name, checksum)

    def directory(self, name: str, owner: Owner | str) -> Tree:
        """Add a sub-directory with this owner, or with this dirmeta object."""
        with faults(f"adding {name}"):
            _, below = self._mtree.ensure_dir(name)
        return Tree(self._repo, below, owner)

    def set_owner(self, owner: Owner | str) -> None:
        """Set the directory's owner, or its dirmeta object."""
        meta = owner if isinstance(owner, str) else self._repo.write_dirmeta(owner)
        self._mtree.set_metadata_checksum(meta)

    def enter(self, name: str) -> Tree | None:
        """Return the sub-directory of this name as it is, None if there is none."""
        try:
            _, _, below = self._mtree.lookup(name)
        except GLib.Error as error:
            if error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_FOUND):
                return None
            raise
        return Tree(self._repo, below, None) if below is not None else None

    def remove(self, name: str) -> None:
        """Remove the entry of this name, if there is one."""
        with faults(f"removing {name}"):
            self._mtree.remove(name, True)

    def graft(self, name: str, stored: StoredTree) -> None:
        """Add a tree that is stored already under this name, without reading it."""
        with faults(f"grafting {name}"):
            _, below = self._mtree.ensure_dir(name)
            below.fill_empty_from_dirtree(self._repo.handle, stored.contents, stored.meta)

    def write(self) -> tuple[str, str]:
        """Store the directories' objects. Return the root's dirtree and dirmeta checksums."""
        with faults("writing the tree"):
            _, self._root = self._repo.handle.write_mtree(self._mtree, None)
        return self._root.tree_get_contents_checksum(), self._root.tree_get_metadata_checksum()

    def written(self) -> Gio.File:
        """Return the root as libostree wants it for a commit. RuntimeError before `write`."""
        if self._root is None:
            raise RuntimeError("the tree is not written yet")
        return self._root
