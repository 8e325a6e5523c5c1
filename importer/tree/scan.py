"""Walk a tree on disk: directories and whiteouts become nodes, files go to a store.

All below the root is opened by descriptors of directories. A directory that changes during the
walk, and a file that changes before it is stored, is an error that names the path.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path as DiskPath
from typing import TYPE_CHECKING

from importer.files.beneath import Beneath
from importer.files.foreign import ForeignDirectory, changed, entries_of
from importer.files.xattrs import check_sees_trusted, xattrs_of
from importer.tree.driver_layers import LayerMarks, layers_at
from importer.tree.entries import WhiteoutForm, check_name, fills, form_of, take
from importer.tree.file_batch import TreeFile, seen, with_label
from importer.tree.scanned import ScannedFile, ScannedPlace, ScannedTree
from layers.entry import Owner
from layers.ondisk.commit_filter import Bits
from layers.path import joined
from layers.tree.node import Directory, Leaf
from layers.tree.overlay_xattrs import check_complete, is_opaque
from layers.whiteout import QUOTED_PREFIX

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from importer.tree.file_batch import LayerPlace
    from importer.tree.known_directories import KnownDirectories
    from importer.tree.scanned import Rules
    from importer.tree.store_files import FileStore
    from layers.ondisk.commit_filter import CommitFilter
    from layers.path import Path

_BITS = 0o7777


@dataclass(slots=True)
class TreeScan:
    """A walk of the tree at a directory. Without a store, files are not stored. `_directories`
    takes directories from the cache; None if options change or leave out files."""

    _root: ForeignDirectory
    _rules: Rules
    _filter: CommitFilter
    _files: FileStore | None
    _directories: KnownDirectories | None = None
    _layers: dict[Path, LayerPlace] = field(default_factory=dict)
    _scanned: ScannedTree = field(init=False)
    _marks: LayerMarks = field(init=False)

    def run(self) -> ScannedTree | None:
        """Walk the tree, and return it; None if the skip list leaves its root out.

        Raise LayerError for an entry that ostree cannot store. Raise ImporterError for an entry
        that cannot be read or changes meanwhile. Both name the path.
        """
        root = Directory(real=True)
        self._scanned = ScannedTree(root)
        self._marks = LayerMarks(self._scanned)
        bits = self._filter.apply(b"/", _bits(os.fstat(self._root.descriptor)), directory=True)
        if bits is None:
            return None
        with Beneath(self._root.descriptor) as beneath:
            work = [ScannedPlace((), root, bits, None, None)]
            while work:
                place = work.pop()
                with self._root.entry(joined(place.path)):
                    work += self._walk(place, beneath.directory(place.path))
                if self._files is not None:
                    self._files.check()
            if self._directories is not None:
                for path in self._directories.resolve(self._scanned.directories):
                    self._take_owner_of(path, beneath)
        for file, is_whiteout in self._marks.settle():
            self._take_doubtful(file, is_whiteout=is_whiteout)
        self._scanned.check_unchanged(self._root)
        return self._scanned

    def _take_owner_of(self, path: Path, beneath: Beneath) -> None:
        """Set the owner of a directory whose files are taken from the cache."""
        with self._root.entry(joined(path)):
            descriptor = beneath.directory(path)
            node, bits = self._scanned.directories[path], _bits(os.fstat(descriptor))
            self._take_owner(ScannedPlace(path, node, bits, None, None), descriptor)

    def _walk(self, place: ScannedPlace, descriptor: int) -> list[ScannedPlace]:
        """Add a directory's entries to the tree, and return its sub-directories."""
        status = os.fstat(descriptor)
        state = seen(status)
        if place.seen not in (None, state):
            raise changed()
        self._scanned.states.append((place.path, state))
        self._scanned.directories[place.path] = place.node
        if place.layer is not None and place.layer.path == place.path:
            check_sees_trusted(self._root.full(joined(place.path)), state.uid)
            self._scanned.layers.append(place.layer)
        if self._files is not None:
            self._files.enter(self._root.full(joined(place.path)), descriptor, status.st_dev)
        entries = entries_of(descriptor)
        is_home = place.layer is None and any(
            name == b"l" and stat.S_ISDIR(entry.st_mode) for name, entry in entries
        )
        known = self._directories if place.layer is None and not is_home else None
        if known is not None and known.find(place.path, place.node, status, entries):
            return self._below(place, entries)
        self._take_owner(place, descriptor)
        if is_home:
            self._note_home(place, descriptor, entries)
        below = self._below(place, entries)
        for name, entry in entries:
            if not stat.S_ISDIR(entry.st_mode):
                self._file(place, descriptor, name, entry)
        if known is not None and self._is_plain_directory(place, entries):
            known.note(place.path, place.node)
        return below

    def _below(
        self, place: ScannedPlace, entries: list[tuple[bytes, os.stat_result]]
    ) -> list[ScannedPlace]:
        """Add a directory's sub-directories to the tree, and return them."""
        directories = ((name, status) for name, status in entries if stat.S_ISDIR(status.st_mode))
        places = (self._directory(place, name, status) for name, status in directories)
        return [below for below in places if below is not None]

    def _is_plain_directory(
        self, place: ScannedPlace, entries: list[tuple[bytes, os.stat_result]]
    ) -> bool:
        """Return whether the directory has only files, symlinks and directories, and no mark."""
        node, opaque = place.node, self._scanned.opaque[-1:] == [place.path]
        return len(node.entries) == len(entries) and not (node.whiteouts or node.opaque or opaque)

    def _take_owner(self, place: ScannedPlace, descriptor: int) -> None:
        """Set the directory's owner, and whether it is opaque."""
        xattrs = xattrs_of(descriptor)
        if place.layer is not None:
            check_complete(xattrs, directory=True)
            xattrs = self._marks.directory(place.layer, place, xattrs)
        elif is_opaque(xattrs):
            self._rules.check_opaque()
            self._scanned.opaque.append(place.path)
        label = self._label(place.path, stat.S_IFDIR | place.bits.mode)
        kept = xattrs if self._rules.keep_xattrs else ()
        place.node.owner = Owner(*place.bits, with_label(kept, label))

    def _note_home(
        self, place: ScannedPlace, descriptor: int, entries: list[tuple[bytes, os.stat_result]]
    ) -> None:
        """Record a graph driver's layers if the directory is its home."""
        names = [name for name, status in entries if stat.S_ISDIR(status.st_mode)]
        # ROOT may be a symlink to a driver's home.
        root = DiskPath(f"/proc/self/fd/{self._root.descriptor}").readlink().name
        driver = [os.fsencode(root), *place.path][-1]
        home = ForeignDirectory(descriptor, self._root.full(joined(place.path)))
        for layer in layers_at(place.path, driver, home, names):
            self._layers[layer.path] = layer

    def _directory(
        self, place: ScannedPlace, name: bytes, status: os.stat_result
    ) -> ScannedPlace | None:
        path = (*place.path, name)
        bits: Bits | None = _bits(status)
        if self._filter.does_anything and bits is not None:
            bits = self._filter.apply(b"/" + joined(path), bits, directory=True)
        if bits is None:
            return None
        if name.startswith(QUOTED_PREFIX) or not name.isascii():
            with self._entry(place, name):
                check_name(name)
        layer = place.layer or self._layers.get(path)
        node = place.node.entries[name] = Directory(real=True)
        return ScannedPlace(path, node, bits, layer, seen(status))

    def _file(
        self, place: ScannedPlace, descriptor: int, name: bytes, status: os.stat_result
    ) -> None:
        is_link = stat.S_ISLNK(status.st_mode)
        bits: Bits | None = _bits(status)
        if self._filter.does_anything and bits is not None:
            full = b"/" + joined((*place.path, name))
            bits = (self._filter.symlink if is_link else self._filter.apply)(full, bits)
        if bits is None:
            return
        file = ScannedFile(place, name, status, bits)
        if not _is_plain(file) and self._is_other(file, descriptor):
            return
        if self._files is None and not is_link:
            with self._entry(place, name):
                self._scanned.fills += fills(self._root.descriptor, file, descriptor)
        self._store(file)

    def _store(self, file: ScannedFile) -> None:
        place, name, status, bits = file
        leaf = place.node.entries[name] = Leaf()
        if self._files is not None:
            is_link = stat.S_ISLNK(status.st_mode)
            mode = (stat.S_IFLNK if is_link else stat.S_IFREG) | bits.mode
            label = self._label((*place.path, name), mode) if self._rules.label else None
            checksum = self._files.find(status, bits, label)
            if checksum is not None:
                leaf.checksum = checksum
                return
            new = TreeFile(place.path, name, seen(status), bits, label, place.layer)
            self._files.add(new, leaf, links=status.st_nlink)

    def _is_other(self, file: ScannedFile, descriptor: int) -> bool:
        """Add an entry that is no file for ostree, or set it aside, and return True. Return False
        for a file, after a check of its name."""
        with self._entry(file.place, file.name):
            form = form_of(file, descriptor, self._rules)
            if form is WhiteoutForm.USER_XATTR and file.place.layer is not None:
                self._marks.set_aside(file.place.layer, file)
            elif form is None:
                check_name(file.name)
                return False
            else:
                self._scanned.marks.append(take(file, form, self._rules))
            return True

    def _take_doubtful(self, file: ScannedFile, *, is_whiteout: bool) -> None:
        with self._entry(file.place, file.name):
            if is_whiteout:
                mark = take(file, WhiteoutForm.XATTR, self._rules)
                self._scanned.marks.append(mark)
            else:
                check_name(file.name)
                self._store(file)

    def _label(self, path: Path, mode: int) -> bytes | None:
        return self._rules.label(b"/" + joined(path), mode) if self._rules.label else None

    def _entry(self, place: ScannedPlace, name: bytes) -> AbstractContextManager[None]:
        """Add the path to errors about an entry."""
        return self._root.entry(joined((*place.path, name)))


def _is_plain(file: ScannedFile) -> bool:
    """Return whether the entry is a file or symlink at first sight, as nearly all are."""
    place, name, status, _ = file
    mode = status.st_mode
    return (
        (stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and status.st_size > 0))
        and not (place.layer is not None and place.layer.fuse)
        and not name.startswith(QUOTED_PREFIX)
        and name.isascii()
    )


def _bits(status: os.stat_result) -> Bits:
    return Bits(status.st_mode & _BITS, status.st_uid, status.st_gid)
