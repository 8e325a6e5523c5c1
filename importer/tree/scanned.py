"""The rules and the result of a tree's walk; see importer/tree/scan.py."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from importer.errors import ImporterError
from importer.files.beneath import Beneath
from importer.files.foreign import changed
from importer.tree.file_batch import seen
from layers.errors import LayerError
from layers.frozen import frozen
from layers.ondisk.close_layers import OverlayLayer
from layers.path import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.files.foreign import ForeignDirectory
    from importer.tree.entries import Mark
    from importer.tree.file_batch import LayerPlace, Seen
    from layers.limits import DeviceNodes
    from layers.ondisk.change import Fill
    from layers.ondisk.commit_filter import Bits
    from layers.path import Path
    from layers.tree.node import Directory

    type Label = Callable[[bytes, int], bytes | None]

_PATH_MAX = 4096  # include/uapi/linux/limits.h; a tree may be deeper


@frozen
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

    def check_opaque(self) -> None:
        """Raise LayerError unless an opaque directory whose lower layers are unknown keeps its
        xattr."""
        if not self.keep_opaque:
            raise LayerError(
                "the directory is opaque, and which layers lie below is unknown",
                hint="--opaque=keep commits its xattr, which ostree deploys",
            )
        if not self.keep_xattrs:
            raise LayerError(
                "the directory is opaque by an xattr, which would not be committed",
                hint="leave out --no-xattrs and --canonical-permissions; a bare-user-only repo"
                " holds no xattrs",
            )


class ScannedPlace(NamedTuple):
    """A directory to walk; `seen` is None for the root."""

    path: Path
    node: Directory
    bits: Bits
    layer: LayerPlace | None
    seen: Seen | None


class ScannedFile(NamedTuple):
    """An entry of the walk that is no directory, and the permissions to commit."""

    place: ScannedPlace
    name: bytes
    status: os.stat_result
    bits: Bits

    @property
    def path(self) -> Path:
        return (*self.place.path, self.name)


@dataclass(slots=True)
class ScannedTree:
    """A walked tree: directories by path, and layers whose lowers are known.

    `states` are the directories as they were found. `marks` are the entries that are no files for
    ostree. `opaque` are the paths of opaque directories whose lower layers are unknown. `fills` are
    files that get their data from a lower layer, if the walk had no store.
    """

    root: Directory
    directories: dict[Path, Directory] = field(default_factory=dict)
    states: list[tuple[Path, Seen]] = field(default_factory=list)
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

    def check_unchanged(self, root: ForeignDirectory) -> None:
        """Raise ImporterError if a directory has changed since the walk.

        Symlinks on the way need no check: putting one there has changed the directory above it.
        """
        with Beneath(root.descriptor) as beneath:
            for path, before in self.states:
                name = joined(path)
                with root.entry(name):
                    if 0 < len(name) < _PATH_MAX:
                        status = os.stat(name, dir_fd=root.descriptor, follow_symlinks=False)
                    else:
                        status = os.fstat(beneath.directory(path))
                    if seen(status) != before:
                        raise changed()
