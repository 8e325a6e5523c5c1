"""Make directories on the disk equal to those of a commit, entry by entry."""

from __future__ import annotations

import os
from stat import S_ISDIR
from typing import TYPE_CHECKING

from importer.copies.disk_entry import DiskEntries, mode_and_device, remove
from importer.copies.disk_owner import DiskOwners, owner_on_disk
from importer.files.beneath import Beneath
from importer.repo.reachable import check_breadth
from layers.errors import printable
from layers.path import joined
from layers.storage.artifact import ARTIFACTS
from layers.tree.lower import each_directory
from layers.whiteout import unquoted

if TYPE_CHECKING:
    from importer.copies.disk_owner import Components
    from importer.progress import Advance
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from layers.path import Path

# overlay/l, overlay-images/ID: the entries of deeper directories belong to one layer.
_STORE_DEPTH = 2
_ARTIFACTS = ARTIFACTS.encode()


class DiskTree:
    """Writes trees below `root`, the descriptor of a directory."""

    def __init__(self, repo: Repo, root: int, components: Components, advance: Advance) -> None:
        self._repo = repo
        self._root = root
        self.owners = DiskOwners(components)
        self._entries = DiskEntries(repo, root, self.owners, advance)
        self._left: list[Path] = []
        self._opened: dict[Path, int] = {}
        self._changed = False

    @property
    def changed(self) -> bool:
        """Return whether an entry was written, changed or removed."""
        return self._changed or self._entries.changed

    def write(self, top: Path, tree: RepoDirectory) -> None:
        """Write a tree. Layers, images and blobs that the tree lacks stay until `clear`."""
        check_breadth(tree, printable(joined(top)))
        made: list[tuple[Path, str]] = []
        with Beneath(self._root) as beneath:
            self._enter(beneath.directory(top[:-1]), top)
            for path, directory in each_directory(tree, top):
                made.append((path, directory.meta))
                descriptor = beneath.directory(path)
                self._remove_left(descriptor, path, directory)
                if path != top:  # its own files are records, which no other file may follow
                    self._write_files(descriptor, path, directory)
                for name in directory.directories:
                    self._enter(descriptor, (*path, name))
            self._write_files(beneath.directory(top), top, tree)
            for path, meta in reversed(made):  # what is written into a directory sets its time
                self._finish(beneath.directory(path), path, meta)

    def _write_files(self, descriptor: int, path: Path, directory: RepoDirectory) -> None:
        for name, checksum in sorted(directory.leaves.items()):
            self._entries.write(descriptor, (*path, name), checksum)

    def leave_out(self, path: Path) -> None:
        """Have `clear` remove a tree, if there is one."""
        with Beneath(self._root) as beneath:
            if mode_and_device(beneath.directory(path[:-1]), path[-1])[0]:
                self._left.append(path)

    def clear(self) -> None:
        """Remove layers, images and blobs that the trees lack."""
        with Beneath(self._root) as beneath:
            for path in self._left:
                descriptor = beneath.directory(path[:-1])
                remove(descriptor, path[-1])
                os.utime(descriptor, ns=(0, 0))
        self._changed |= bool(self._left)

    def _remove_left(self, descriptor: int, path: Path, directory: RepoDirectory) -> None:
        """Remove entries that the tree lacks: within a layer at once, layers and images later."""
        names = {unquoted(name) or name for name in directory.leaves} | directory.directories.keys()
        present = map(os.fsencode, os.listdir(descriptor))
        for name in (name for name in present if name not in names):
            if len(path) > _STORE_DEPTH and path[0] != _ARTIFACTS:
                remove(descriptor, name)
                self._changed = True
            else:
                self._left.append((*path, name))

    def _enter(self, descriptor: int, path: Path) -> None:
        """Make a directory, or let this user write into a present one."""
        mode, _ = mode_and_device(descriptor, path[-1])
        if mode and not S_ISDIR(mode):
            remove(descriptor, path[-1])
        if not S_ISDIR(mode):
            os.mkdir(path[-1], 0o700, dir_fd=descriptor)
            self._changed = True
        elif os.geteuid() and mode & 0o700 != 0o700:
            os.chmod(path[-1], mode & 0o7777 | 0o700, dir_fd=descriptor)
            self._opened[path] = mode & 0o7777

    def _finish(self, descriptor: int, path: Path, meta: str) -> None:
        owner = self.owners.possible(self._repo.dirmeta(meta), path)
        present = owner_on_disk(descriptor)
        if present is not None and path in self._opened:
            present = present._replace(mode=self._opened[path])
        self._changed |= present != owner
        for name, _ in set(present.xattrs if present else ()) - set(owner.xattrs):
            os.removexattr(descriptor, name)
        if present != owner or path in self._opened:
            self.owners.give(descriptor, owner, path)
