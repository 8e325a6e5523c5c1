"""The options and the result of reading one layer: values sent from one process to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layers.limits import Limits
    from layers.tree.builder import DeviceNodes, LayerTree


@dataclass(frozen=True, slots=True)
class LayerOptions:
    """Rules for a layer's content: device nodes, and limits in bytes and entries."""

    device_nodes: DeviceNodes
    limits: Limits


@dataclass(frozen=True, slots=True)
class ReadLayer:
    """A layer whose files are stored.

    `tree` names the stored files by their checksums. `diff_size` is the size of the uncompressed
    tar in bytes. `record` is the tar-split file (gzip), None for a layer that was read from a
    directory without one. `dropped_xattrs` counts the xattrs that are not in the tree. `verified`
    says that the layer's tar, and the tars of all layers below it, have their diffIDs. `entries`
    and `size` (bytes) count what was read: the tar, or the directory.
    """

    tree: LayerTree
    dropped_xattrs: int
    diff_size: int
    record: bytes | None
    verified: bool = True
    entries: int = 0
    size: int = 0
