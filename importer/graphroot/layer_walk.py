"""Read a layer from its directory, for stores that have no record of the layer's tar.

The walk makes the entries that a tar of the directory would have, whiteouts and opaque
markers included, so that one set of rules decides what they mean.
"""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext
from typing import TYPE_CHECKING

from importer.files.beneath import look_at, reopened
from importer.files.descriptors import held
from importer.files.foreign import sized_pieces
from importer.files.xattrs import check_sees_trusted, xattrs_of
from layers.entry import Entry, Kind, Owner
from layers.errors import LayerError
from layers.limits import Bound, DeviceNodes, Limits
from layers.tree.builder import LayerTree
from layers.tree.node import Leaf
from layers.tree.overlay_xattrs import (
    check_complete,
    is_metacopy,
    is_opaque,
    overridden,
    whiteout_by,
    without_marks,
    without_metacopy,
)
from layers.tree.xattrs import kept
from layers.whiteout import OPAQUE_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.files.foreign import ForeignDirectory
    from importer.files.lower_data import Layers
    from layers.chunks import Chunks
    from layers.entry import Xattrs

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}
_MARKER = Owner(0, 0, 0)


class LayerWalk:
    """Iterate over the files and symlinks to store, as `layers.tree.layer_reader.LayerReader`.

    The directory may change meanwhile. So each name is opened once; attributes and content are
    read through that descriptor, even if the file has been renamed since.
    """

    def __init__(
        self, directory: ForeignDirectory, layers: Layers, device_nodes: DeviceNodes, limits: Limits
    ) -> None:
        """Walk the layer's directory; the caller closes it. `layers` may have the data of a file
        that overlayfs has copied up without it."""
        self._top = directory
        self._layers = layers
        self._bound = Bound(limits)
        self.tree = LayerTree(device_nodes)
        self.dropped_xattrs = 0
        self._descriptor = -1
        self._at = Entry(b"", Kind.FILE, _MARKER)

    def __iter__(self) -> Iterator[tuple[Leaf, Entry]]:
        with self._top.faults():
            owner = os.fstat(self._top.descriptor).st_uid
            check_sees_trusted(self._top.path, owner)
        for entry in self._entries():
            self._bound.count(entry)
            leaf = self.tree.add(entry)
            if leaf is not None:
                self._at = entry
                yield leaf, entry

    @property
    def entries(self) -> int:
        """Return how many entries the walk has found so far."""
        return self._bound.entries

    def whole(self) -> bytes:
        """Return the current file's content. Raise ImporterError as `content` does."""
        return b"".join(self.content())

    def content(self) -> Chunks:
        """Yield the current file's content. Raise ImporterError if its size has changed."""
        path = self._at.path
        with self._top.entry(path), held(reopened(self._descriptor)) as descriptor:
            yield from sized_pieces(descriptor, self._at.size)

    def _entries(self) -> Iterator[Entry]:
        """Yield all entries below the root, each directory before its own entries."""
        work = [b""]
        while work:
            path = work.pop()
            with self._top.directory(path) if path else nullcontext(self._top) as directory:
                for entry in self._in(directory, path):
                    yield entry
                    if entry.kind is Kind.DIRECTORY:
                        work.append(entry.path)

    def _in(self, directory: ForeignDirectory, path: bytes) -> Iterator[Entry]:
        with directory.faults():
            opaque = is_opaque(xattrs_of(directory.descriptor))
        if opaque:
            yield Entry(_below(path, OPAQUE_MARKER), Kind.FILE, _MARKER)
        for name in directory.names():
            with directory.entry(name):
                self._descriptor = look_at(directory.descriptor, name)
            try:
                yield self._entry(_below(path, name))
            finally:
                os.close(self._descriptor)

    def _entry(self, path: bytes) -> Entry:
        """Return the entry of a path. No tar can hold a socket: it only hides lower entries."""
        with self._top.faults(path):
            status = os.fstat(self._descriptor)
            xattrs = xattrs_of(self._descriptor)
            is_link = stat.S_ISLNK(status.st_mode)
            link = os.readlink(b"", dir_fd=self._descriptor) if is_link else b""
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return Entry(path, Kind.CHAR, _MARKER)
        try:
            if kind is Kind.FILE and is_metacopy(xattrs):
                self._open_data(path, status.st_size, xattrs)
                xattrs = without_metacopy(xattrs)
            check_complete(xattrs, directory=kind is Kind.DIRECTORY)
            if kind is Kind.FILE and not status.st_size and whiteout_by(xattrs):
                return Entry(path, Kind.CHAR, _MARKER)
            owner = Owner(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, xattrs)
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            owner, kind, device = overridden(owner, kind, device)
            owner = self._kept(owner._replace(xattrs=without_marks(xattrs)), kind)
        except LayerError as error:
            raise error.within(path=path) from None
        size = status.st_size if kind is Kind.FILE else 0
        return Entry(path, kind, owner, size, link, device)

    def _open_data(self, path: bytes, size: int, xattrs: Xattrs) -> None:
        """Read the current file's content from the lower layer that has it."""
        with self._top.faults(path):
            descriptor = self._layers.open_data(tuple(path.split(b"/")), size, xattrs)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _kept(self, owner: Owner, kind: Kind) -> Owner:
        stored = kept(owner, kind)
        self.dropped_xattrs += len(owner.xattrs) - len(stored.xattrs)
        return stored


def _below(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
