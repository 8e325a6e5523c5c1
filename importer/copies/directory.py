"""Write a store as a directory: a containers-storage graphroot that podman and CRI-O read."""

from __future__ import annotations

import os
from dataclasses import field
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from importer.copies.disk_entry import DiskEntries, mode_and_device, remove
from importer.copies.disk_owner import Components, DiskOwners, owner_on_disk
from importer.errors import ImporterError, layer_faults, os_faults
from importer.files.atomic import is_fresh, replace_file
from importer.files.beneath import Beneath
from importer.files.presence import is_directory, is_present
from importer.files.replacement import read_file
from importer.files.sync import make_directory, synced
from importer.repo.reachable import check_breadth
from importer.run.result import CopiedStore
from importer.store.layers import NO_RECORDS, PARTS
from importer.store.reader import open_store
from layers.document import MAX_DOCUMENT_SIZE, compact_json, parse_document, string
from layers.errors import printable
from layers.frozen import frozen
from layers.path import joined
from layers.storage.artifact import ARTIFACTS
from layers.tree.lower import each_directory
from layers.whiteout import unquoted
from layers.words import several

if TYPE_CHECKING:
    from pathlib import Path as DiskPath

    from importer.progress import Advance, Progress
    from importer.repo.values import RepoDirectory
    from importer.repo.writer import Repo
    from layers.path import Path

# Beside the store, in its directory: tells that we made the store. Other programs ignore it.
MARKER = ".import-image.json"
_FOR_ALL, _OWN = 0o755, 0o700
_MOST_BYTES = 64
# overlay/l, overlay-images/ID: the entries of deeper directories belong to one layer.
_STORE_DEPTH = 2
_ARTIFACTS = ARTIFACTS.encode()


@frozen
class DirectoryCopy:
    """A `StoreCopy`: the directory itself is the store. `update` allows a directory that has an
    earlier copy. `days` is that of `Components`."""

    to: DiskPath
    update: bool = field(kw_only=True)
    days: int | None = field(kw_only=True, default=None)

    def check(self) -> None:
        """See `StoreCopy`. An empty store, as packages of podman install one, may be there."""
        if not is_present(self.to):
            return
        if not is_directory(self.to):
            raise ImporterError(f"{self.to} is no directory")
        with os_faults(f"reading {self.to}"):
            ours = is_present(self.to / MARKER)
            if not ours and not is_fresh(self.to) and not _is_empty_store(self.to):
                raise ImporterError(
                    f"{self.to} is not empty, and no store that --to made",
                    hint="name a new directory; a store of podman's own is not to be written to",
                )
        # A store that is not complete is of a run that failed, and may be completed.
        if ours and self._marked() is not None and not self.update:
            raise ImporterError(f"{self.to} has a store already", hint="--update changes it")

    def write(self, repo: Repo, commit: str, prefix: str, progress: Progress) -> CopiedStore:
        """See `StoreCopy`. Files that are the same already are not touched."""
        store = open_store(repo, commit, prefix)
        with os_faults(f"writing {self.to}"), progress.blob(self.to.name, store.size) as advance:
            fresh = not is_present(self.to)
            make_directory(self.to)
            if fresh:  # another user's set-uid files are not for everybody to run
                self.to.chmod(_OWN if os.geteuid() else _FOR_ALL)
            if self._marked() != commit:
                self._mark({})
            with synced(str(self.to)) as root:
                tree = DiskTree(repo, root, Components(store, self.days), advance)
                # The records of layers follow the files, and the records of images come last: no
                # program finds an image before its files are there.
                for name in PARTS:
                    if (part := store.root.find(name)) is not None:
                        tree.write((name.encode(),), part)
                    else:
                        tree.leave_out((name.encode(),))
                tree.clear()
            if self._marked() != commit:
                self._mark({"commit": commit})
        _tell_owners(tree.owners, progress)
        return CopiedStore(str(self.to), unchanged=not tree.changed, digest=None)

    def _marked(self) -> str | None:
        """Return the commit whose store the directory has; None if the store is not complete."""
        marker = self.to / MARKER
        if not is_present(marker):
            return None
        with layer_faults(str(marker), "name a new directory"):
            document = parse_document(read_file(marker, MAX_DOCUMENT_SIZE), MARKER)
            return string(document, "commit", MARKER, "") or None

    def _mark(self, document: dict[str, str]) -> None:
        marker = self.to / MARKER
        replace_file(marker, iter([compact_json(document)]))
        os.utime(marker, ns=(0, 0))
        os.utime(self.to, ns=(0, 0))


def _is_empty_store(directory: DiskPath) -> bool:
    """Return whether a directory has nothing but the empty records of a store."""
    return all(
        S_ISDIR(part.lstat().st_mode)
        and part.name in PARTS
        and all(_is_empty_record(path) for path in part.iterdir())
        for part in directory.iterdir()
    )


def _is_empty_record(path: DiskPath) -> bool:
    status = path.lstat()
    if S_ISREG(status.st_mode) and status.st_size <= _MOST_BYTES:
        return path.read_bytes().strip() in NO_RECORDS
    return path.name == "l" and S_ISDIR(status.st_mode) and not any(path.iterdir())


def _tell_owners(owners: DiskOwners, progress: Progress) -> None:
    """Report the files that this user cannot give to their owners."""
    if owners.lost:
        progress.message(
            f"{several(owners.lost, 'file')} of the store should belong to others than root, or"
            f" have xattrs that only root can set, such as {printable(owners.first)}; they are this"
            " user's, without these xattrs. To keep them, run the command as root or in"
            " `podman unshare`, or write tar:FILE"
        )


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
