"""The rules and the result of a tree's walk; see importer/tree/scan.py."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from importer.errors import ImporterError
from layers.ondisk.close_layers import OverlayLayer
from layers.path import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.tree.entries import Mark
    from importer.tree.file_batch import LayerPlace, Seen, TreeFile
    from layers.ondisk.change import Fill
    from layers.ondisk.commit_filter import Bits
    from layers.path import Path
    from layers.tree.builder import DeviceNodes
    from layers.tree.node import Directory, Leaf

    type Label = Callable[[bytes, int], bytes | None]


class Sink(Protocol):
    """A store for the walk's files; see `importer.tree.store_files.FileStore`."""

    def enter(self, path: bytes, descriptor: int, device: int) -> None:
        """Note that the next files are in this open directory; `path` is for messages."""

    def find(self, status: os.stat_result, bits: Bits, label: bytes | None) -> str | None:
        """Return the checksum of a file that is stored already with these bits and label, or
        None."""

    def add(self, file: TreeFile, leaf: Leaf, *, links: int) -> None:
        """Store a file. The leaf's checksum is set when the store is left, at the latest."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules for entries that ostree cannot store.

    `own_whiteouts` are the paths of quoted whiteouts that `import-tree translate` made here.
    `label` returns the SELinux label for an absolute path and a mode with its file type.
    """

    device_nodes: DeviceNodes
    keep_opaque: bool = True
    keep_xattrs: bool = True
    own_whiteouts: frozenset[bytes] = frozenset()
    label: Label | None = None


class ScannedPlace(NamedTuple):
    """A directory to walk; `seen` is None for the root."""

    path: Path
    node: Directory
    bits: Bits
    layer: LayerPlace | None
    seen: Seen | None


@dataclass(slots=True)
class ScannedTree:
    """A walked tree: directories by path, and layers whose lowers are known.

    `marks` are the entries that are no files for ostree. `opaque` are the paths of opaque
    directories whose lower layers are unknown. `fills` are files that get their data from a lower
    layer, if no sink was given.
    """

    root: Directory
    directories: dict[Path, Directory] = field(default_factory=dict)
    layers: list[LayerPlace] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    opaque: list[Path] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)

    def overlay_layers(self) -> list[OverlayLayer]:
        """Return the layers for `close_tree`. Raise ImporterError if the skip list leaves a lower
        layer out."""
        return [self._overlay_layer(place) for place in self.layers]

    def _overlay_layer(self, place: LayerPlace) -> OverlayLayer:
        for lower in place.lowers:
            if lower not in self.directories:
                raise ImporterError(
                    f"layer {os.fsdecode(joined(place.path))} lies above"
                    f" {os.fsdecode(joined(lower))}, which the skip list leaves out",
                    hint="name both of them in the skip list, or neither",
                )
        lowers = tuple(self.directories[lower] for lower in place.lowers)
        return OverlayLayer(self.directories[place.path], lowers)
