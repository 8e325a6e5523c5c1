"""Read a tree's files and store them as objects, in a worker process or in a thread."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from importer.files.beneath import Beneath, look_at, open_file
from importer.files.descriptors import held
from importer.files.foreign import ForeignDirectory, changed, sized_pieces
from importer.files.lower_data import Layers
from importer.files.xattrs import xattrs_of
from layers.entry import SELINUX, Owner
from layers.frozen import frozen
from layers.path import joined, target_text
from layers.tree.overlay_xattrs import check_complete, is_metacopy, without_metacopy

if TYPE_CHECKING:
    from importer.progress import Advance
    from importer.workers.job import Store
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


class LayerPlace(NamedTuple):
    """A layer of a graph driver: the path of its `diff`, its lowers' paths (nearest first), and
    whether the driver may be fuse-overlayfs."""

    path: Path
    lowers: tuple[Path, ...]
    fuse: bool

    @property
    def home(self) -> Path:
        """Return the path of the driver's directory."""
        return self.path[:-2]


def lower_layers(root: int, layer: LayerPlace | None) -> Layers:
    """Return the layer and its lowers beneath the tree's `root`, or for None the tree alone."""
    return Layers(root, (layer.path, *layer.lowers) if layer is not None else ((),))


class TreeFile(NamedTuple):
    """A regular file or symlink to store with these bits and this SELinux label.

    `layer` is the overlay layer that the file is in, whose lower layers may have its data.
    """

    directory: Path
    name: bytes
    seen: Seen
    bits: Bits
    label: bytes | None
    layer: LayerPlace | None = None

    @property
    def path(self) -> Path:
        return (*self.directory, self.name)


class StoredFiles(NamedTuple):
    """The checksums of a batch's files, in order, and the numbers of those whose data is that of
    another file, so that their own state does not tell whether it has changed."""

    checksums: tuple[str, ...]
    merged: frozenset[int]


def with_label(xattrs: Xattrs, label: bytes | None) -> Xattrs:
    """Return the xattrs to commit: with this SELinux label, ended by a NUL, in place of their own.

    Empty ones are left out, as by `ostree commit`: libostree does not see them in a bare repo,
    whose objects would then be corrupt.
    """
    if not all(value for _, value in xattrs):
        xattrs = tuple(pair for pair in xattrs if pair[1])
    if label is None:
        return xattrs
    others = (pair for pair in xattrs if pair[0] != SELINUX)
    return tuple(sorted([*others, (SELINUX, label + b"\0")]))


@frozen
class FileBatch:
    """A job for `importer.workers.pool`: files below `root`, whose descriptor is sent with
    the job. The result is a checksum for each file, in order."""

    root: bytes
    files: tuple[TreeFile, ...]
    keep_xattrs: bool

    def read(self, store: Store, source: int, advance: Advance) -> StoredFiles:
        """See `importer.workers.job.Job`. Raise ImporterError for a file that cannot be read or has
        changed since the walk. Raise LayerError for a file that ostree cannot store."""
        root, checksums = ForeignDirectory(source, self.root), []
        merged: set[int] = set()
        with Beneath(source) as beneath:
            for number, file in enumerate(self.files):
                with root.entry(joined(file.path)):
                    directory = beneath.directory(file.directory)
                    if stat.S_ISLNK(file.seen.mode):
                        checksums.append(self._symlink(store, directory, file))
                        continue
                    checksum, whole = self._store(store, source, directory, file)
                checksums.append(checksum)
                merged.update(() if whole else (number,))
                advance(file.seen.size)
        return StoredFiles(tuple(checksums), frozenset(merged))

    def _store(self, store: Store, root: int, directory: int, file: TreeFile) -> tuple[str, bool]:
        """Store a regular file. Return its checksum, and whether its data is its own."""
        descriptor = open_file(directory, file.name)
        try:
            _check(file, descriptor)
            xattrs = xattrs_of(descriptor)
            if is_metacopy(xattrs):
                return self._merged(store, root, file, xattrs), False
            if file.layer is not None:
                check_complete(xattrs, directory=False)
            checksum = self._content(store, descriptor, file, xattrs)
            _check(file, descriptor)
        finally:
            os.close(descriptor)
        return checksum, True

    def _merged(self, store: Store, root: int, file: TreeFile, xattrs: Xattrs) -> str:
        """Store a file with its own metadata and the data of a lower layer's file."""
        layers = lower_layers(root, file.layer)
        path = file.path[len(layers.paths[0]) :]
        with held(layers.open_data(path, file.seen.size, xattrs)) as descriptor:
            before = seen(os.fstat(descriptor))
            checksum = self._content(store, descriptor, file, without_metacopy(xattrs))
            if seen(os.fstat(descriptor)) != before:
                raise changed()
        return checksum

    def _content(self, store: Store, descriptor: int, file: TreeFile, xattrs: Xattrs) -> str:
        owner, size = self._owner(file, xattrs), file.seen.size
        if size > _WHOLE:
            return store.write_large_file(owner, size, sized_pieces(descriptor, size))
        content = os.read(descriptor, size + 1)
        if len(content) != size:
            raise changed()
        return store.write_file(owner, content)

    def _symlink(self, store: Store, directory: int, file: TreeFile) -> str:
        """Store a symlink. Raise ImporterError if it changed since the walk."""
        descriptor = look_at(directory, file.name)
        try:
            _check(file, descriptor)
            xattrs, target = xattrs_of(descriptor), os.readlink(b"", dir_fd=descriptor)
        finally:
            os.close(descriptor)
        return store.write_symlink(self._owner(file, xattrs), target_text(target))

    def _owner(self, file: TreeFile, xattrs: Xattrs) -> Owner:
        return Owner(*file.bits, with_label(xattrs if self.keep_xattrs else (), file.label))


def _check(file: TreeFile, descriptor: int) -> None:
    """Raise ImporterError if the open file is not as it was seen on the walk."""
    if seen(os.fstat(descriptor)) != file.seen:
        raise changed()
