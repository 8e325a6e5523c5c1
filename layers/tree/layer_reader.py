"""A layer being read: the tar, the tree that it makes, and the record to make it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.limits import Bound, Limits
from layers.tar.reader import TarReader
from layers.tarsplit.record_writer import TarSplit, with_contents
from layers.tree.builder import DeviceNodes, LayerTree
from layers.tree.node import Leaf
from layers.tree.xattrs import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layers.chunks import Chunks
    from layers.entry import Entry, Owner


class LayerReader:
    """Iterates over the files and symlinks to be stored; the rest goes into `tree` by itself.

    At each, `whole()` or `content()` gives a file's content; the leaf's checksum is for
    the caller to set. Raises LayerError as TarReader and LayerTree do.
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
        """The tar's entries, as long as what is kept of them fits into memory."""
        for entry in self._tar:
            self._bound.count(entry)
            yield entry

    @property
    def entries(self) -> int:
        """How many entries of the tar were read."""
        return self._bound.entries

    def _kept(self, entry: Entry) -> Owner:
        try:
            owner = kept(entry.owner, entry.kind)
        except LayerError as error:
            raise error.within(path=entry.path) from None
        self.dropped_xattrs += len(entry.owner.xattrs) - len(owner.xattrs)
        return owner

    def whole(self) -> bytes:
        """The current file's content."""
        return self._tar.whole()

    def content(self) -> Chunks:
        """The same in pieces, to be read to its end."""
        return self._tar.content()

    def tar_split(self, read: Callable[[str], Chunks]) -> bytes:
        """The record, once the tar was read to its end and all leaves are stored.

        `read` gives the content of an object, for files that another of the same path
        replaced: they are not in the tree, so their content goes into the record.
        """
        record = self._record.finish()
        gone = {
            number: read(leaf.checksum) for number, leaf in enumerate(self._recorded) if leaf.lost
        }
        return with_contents(record, gone) if gone else record
