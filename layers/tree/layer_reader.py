"""Read a layer: its tar becomes a tree, and a record from which the tar can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.limits import Bound, DeviceNodes, Limits
from layers.tar.reader import TarReader
from layers.tarsplit.record_writer import TarSplit, with_contents
from layers.tree.builder import LayerTree
from layers.tree.node import Leaf
from layers.tree.xattrs import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layers.chunks import Chunks
    from layers.entry import Entry, Owner


class LayerReader:
    """Iterate over the files and symlinks to store. All other entries go into `tree` alone.

    At each step, `whole()` or `content()` gives the file's content, and the caller sets the leaf's
    checksum. Raise LayerError as TarReader and LayerTree do.
    """

    def __init__(
        self, chunks: Chunks, device_nodes: DeviceNodes, limits: Limits | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._bound = Bound(self._limits)
        self._record = TarSplit()
        self._tar = TarReader(chunks, self._record, self._limits.size)
        self.tree = LayerTree(device_nodes)
        self.dropped_xattrs = 0
        self._recorded: list[Leaf] = []

    def __iter__(self) -> Iterator[tuple[Leaf, Entry]]:
        for entry in self._bounded():
            stored = entry._replace(owner=self._kept(entry)) if entry.owner.xattrs else entry
            leaf = self.tree.add(stored)
            if leaf is not None:
                files = self._record.files
                yield leaf, stored
                if self._record.files > files:
                    self._recorded.append(leaf)

    def _bounded(self) -> Iterator[Entry]:
        """Yield the tar's entries. Raise LayerError if they are beyond the limits."""
        for entry in self._tar:
            self._bound.count(entry)
            yield entry

    @property
    def entries(self) -> int:
        """Return the number of the tar's entries that were read."""
        return self._bound.entries

    def _kept(self, entry: Entry) -> Owner:
        try:
            owner = kept(entry.owner, entry.kind)
        except LayerError as error:
            raise error.within(path=entry.path) from None
        self.dropped_xattrs += len(entry.owner.xattrs) - len(owner.xattrs)
        return owner

    def whole(self) -> bytes:
        """Return the current file's content."""
        return self._tar.whole()

    def content(self) -> Chunks:
        """Yield the current file's content in pieces. It must be read to its end."""
        return self._tar.content()

    def tar_split(self, read: Callable[[str], Chunks]) -> bytes:
        """Return the tar-split record, once the tar was read to its end and all leaves have
        checksums.

        `read` gives the content of an object. The record holds the contents of files whose path
        another entry took, since the tree does not have these files.
        """
        record = self._record.finish()
        lost = {
            number: read(leaf.checksum) for number, leaf in enumerate(self._recorded) if leaf.lost
        }
        return with_contents(record, lost) if lost else record
