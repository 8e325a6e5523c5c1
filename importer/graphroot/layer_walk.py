"""A layer as its directory shows it, for stores that have no record of the layer's tar.

The walk makes the entries that a tar of the directory would have, whiteouts and opaque
markers included, so that one set of rules decides what they mean.
"""

from __future__ import annotations

import os
import pathlib
import stat
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.trusted_xattrs import check_sees_trusted
from importer.graphroot.files import faults, names_in, opened, pieces
from importer.graphroot.layer_directory import xattrs
from layers.entry import Entry, Kind, Owner
from layers.errors import LayerError
from layers.tree.builder import DeviceNodes, LayerTree
from layers.tree.node import Leaf
from layers.tree.overlay_xattrs import (
    check_complete,
    is_opaque,
    is_whiteout,
    overridden,
    without_marks,
)
from layers.tree.xattrs import kept
from layers.whiteout import OPAQUE_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.chunks import Chunks

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
    """Iterates over the files and symlinks to be stored, as
    `layers.tree.layer_reader.LayerReader` does."""

    def __init__(self, path: pathlib.Path, device_nodes: DeviceNodes) -> None:
        self._top = os.fsencode(path)
        self.tree = LayerTree(device_nodes)
        self.dropped_xattrs = 0
        self._at: tuple[bytes, int] = (b"", 0)

    def __iter__(self) -> Iterator[tuple[Leaf, Entry]]:
        with faults(self._top):
            check_sees_trusted(os.fsdecode(self._top), os.lstat(self._top).st_uid)
        for entry in self._entries():
            leaf = self.tree.add(entry)
            if leaf is not None:
                self._at = (entry.path, entry.size)
                yield leaf, entry

    def whole(self) -> bytes:
        """The current file's content."""
        return b"".join(self.content())

    def content(self) -> Chunks:
        """The same in pieces; ImporterError if the file changes meanwhile."""
        path, size = self._at
        full = self._full(path)
        with faults(full):
            for piece in pieces(opened(full)):
                size -= len(piece)
                yield piece
        if size:
            raise ImporterError(f"{os.fsdecode(full)} changed while it was read")

    def _full(self, path: bytes) -> bytes:
        return self._top + b"/" + path if path else self._top

    def _entries(self) -> Iterator[Entry]:
        """Everything below the root, directories before what is in them."""
        work = [b""]
        while work:
            directory = work.pop()
            full = self._full(directory)
            with faults(full):
                opaque = is_opaque(xattrs(full))
            if opaque:
                yield Entry(_below(directory, OPAQUE_MARKER), Kind.FILE, _MARKER)
            for name in names_in(full):
                path = _below(directory, name)
                entry = self._entry(path)
                if entry is not None:
                    yield entry
                    if entry.kind is Kind.DIRECTORY:
                        work.append(path)

    def _entry(self, path: bytes) -> Entry | None:
        """None for a socket, which no tar can hold."""
        full = self._full(path)
        with faults(full):
            status = os.lstat(full)
            found = xattrs(full)
            link = _target(full) if stat.S_ISLNK(status.st_mode) else b""
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None
        try:
            check_complete(found)
            if kind is Kind.FILE and not status.st_size and is_whiteout(found):
                return Entry(path, Kind.CHAR, _MARKER)
            owner = Owner(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, found)
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            owner, kind, device = overridden(owner, kind, device)
            owner = self._kept(owner._replace(xattrs=without_marks(found)), kind)
        except LayerError as error:
            raise error.within(path=path) from None
        size = status.st_size if kind is Kind.FILE else 0
        return Entry(path, kind, owner, size, link, device)

    def _kept(self, owner: Owner, kind: Kind) -> Owner:
        stored = kept(owner, kind)
        self.dropped_xattrs += len(owner.xattrs) - len(stored.xattrs)
        return stored


def _target(full: bytes) -> bytes:
    return os.readlink(full)  # noqa: PTH115 - pathlib has no bytes


def _below(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
