"""Read a tree's files and store them as objects, in a worker process or in a thread."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from importer.repo.labels import SELINUX
from importer.tree.descriptors import (
    Beneath,
    changed,
    faults,
    open_file,
    shown,
    symlink_path,
    xattrs_of,
)
from layers.entry import Owner
from layers.errors import LayerError
from layers.tree.overlay_xattrs import check_complete

if TYPE_CHECKING:
    from importer.progress import Advance
    from importer.workers.job import Store
    from layers.chunks import Chunks
    from layers.entry import Xattrs
    from layers.ondisk.commit_filter import Bits
    from layers.path import Path

# A file larger than this is read and stored in pieces of that size.
_WHOLE = 1 << 20


class Seen(NamedTuple):
    """The result of lstat(2) for a file when the tree was walked; times in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime: int
    ctime: int
    mode: int
    uid: int
    gid: int


def seen(status: os.stat_result) -> Seen:
    """Return what identifies a file and its state."""
    return Seen(
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
        status.st_uid,
        status.st_gid,
    )


class TreeFile(NamedTuple):
    """A regular file or symlink to store with these bits and this SELinux label.

    `in_layer` tells that the file is in an overlay layer, which may keep its content elsewhere.
    """

    directory: Path
    name: bytes
    seen: Seen
    bits: Bits
    label: bytes | None
    in_layer: bool = False


def with_label(xattrs: Xattrs, label: bytes | None) -> Xattrs:
    """Return the xattrs with this SELinux label, ended by a NUL, in place of their own label."""
    if label is None:
        return xattrs
    others = (pair for pair in xattrs if pair[0] != SELINUX)
    return tuple(sorted([*others, (SELINUX, label + b"\0")]))


@dataclass(frozen=True, slots=True)
class FileBatch:
    """A job for `importer.workers.pool`: files below `root`, whose descriptor is sent with
    the job. The result is a checksum for each file, in order."""

    root: bytes
    files: tuple[TreeFile, ...]
    keep_xattrs: bool

    def read(self, store: Store, source: int, advance: Advance) -> tuple[str, ...]:
        """See `importer.workers.job.Job`. Raise ImporterError for a file that cannot be read or has
        changed since the walk. Raise LayerError for a file that ostree cannot store."""
        with Beneath(source) as beneath:
            return tuple(self._store(store, beneath, file, advance) for file in self.files)

    def _store(self, store: Store, beneath: Beneath, file: TreeFile, advance: Advance) -> str:
        with faults(self.root, (*file.directory, file.name)):
            directory = beneath.directory(file.directory)
            if stat.S_ISLNK(file.seen.mode):
                return self._symlink(store, directory, file)
            descriptor = open_file(file.name, directory)
            try:
                self._check(file, os.fstat(descriptor))
                owner = self._owner(file, self._xattrs(file, descriptor))
                checksum = self._content(store, descriptor, file, owner)
                self._check(file, os.fstat(descriptor))
            finally:
                os.close(descriptor)
        advance(file.seen.size)
        return checksum

    def _xattrs(self, file: TreeFile, descriptor: int) -> Xattrs:
        if not (self.keep_xattrs or file.in_layer):
            return ()
        found = xattrs_of(descriptor)
        if file.in_layer:
            try:
                check_complete(found)
            except LayerError as error:
                raise error.within(path=os.fsencode(self._shown(file))) from None
        return found if self.keep_xattrs else ()

    def _content(self, store: Store, descriptor: int, file: TreeFile, owner: Owner) -> str:
        size = file.seen.size
        if size > _WHOLE:
            return store.write_large_file(owner, size, self._pieces(descriptor, file))
        content = os.read(descriptor, size + 1)
        if len(content) != size:
            raise self._changed(file)
        return store.write_file(owner, content)

    def _pieces(self, descriptor: int, file: TreeFile) -> Chunks:
        left = file.seen.size
        while piece := os.read(descriptor, _WHOLE):
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left:
            raise self._changed(file)

    def _symlink(self, store: Store, directory: int, file: TreeFile) -> str:
        """Store a symlink, read by its name. Raise ImporterError if it changed since the walk."""
        xattrs = xattrs_of(symlink_path(file.name, directory)) if self.keep_xattrs else ()
        target = os.readlink(file.name, dir_fd=directory)
        self._check(file, os.stat(file.name, dir_fd=directory, follow_symlinks=False))
        try:
            text = target.decode()
        except UnicodeDecodeError:
            raise LayerError(
                f"{self._shown(file)}: the symlink's target is not UTF-8",
                hint="ostree's objects hold UTF-8 targets only",
            ) from None
        return store.write_symlink(self._owner(file, xattrs), text)

    def _owner(self, file: TreeFile, xattrs: Xattrs) -> Owner:
        return Owner(*file.bits, with_label(xattrs, file.label))

    def _check(self, file: TreeFile, status: os.stat_result) -> None:
        if seen(status) != file.seen:
            raise self._changed(file)

    def _shown(self, file: TreeFile) -> str:
        return shown(self.root, (*file.directory, file.name))

    def _changed(self, file: TreeFile) -> Exception:
        return changed(self.root, (*file.directory, file.name))
