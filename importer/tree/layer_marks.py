"""Decide what the overlay xattrs of a graph driver's layers mean, by who wrote the store.

fuse-overlayfs obeys the xattrs of each namespace. The kernel never looks at those of a layer's root
directory, and obeys one namespace: `trusted.overlay.`, or in a mount with `userxattr`, which a user
without root needs, `user.overlay.`. A store with trusted xattrs is not for such mounts. Whether a
store has some is known when all of it is walked; until then, `user.overlay.` marks are set aside.
Source: the kernel's fs/overlayfs/overlayfs.h, `ovl_xattr`, and namei.c, `ovl_lookup` (Linux 6.18).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from importer.tree.entries import Mark, WhiteoutForm
from layers.tree.overlay_xattrs import TRUSTED, USER, opaque_by, without_opaque

if TYPE_CHECKING:
    import os

    from importer.tree.file_batch import LayerPlace
    from importer.tree.scanned import ScannedPlace, ScannedTree
    from layers.entry import Xattrs
    from layers.ondisk.commit_filter import Bits
    from layers.path import Path


class DoubtfulFile(NamedTuple):
    """A file of the walk that may be a whiteout, and the permissions to commit."""

    place: ScannedPlace
    name: bytes
    status: os.stat_result
    bits: Bits


class LayerMarks:
    """The opaque directories of a walk's layers, and its doubtful whiteouts."""

    def __init__(self, found: ScannedTree) -> None:
        self._found = found
        self._trusted: set[Path] = set()
        self._doubtful: list[tuple[LayerPlace, ScannedPlace]] = []
        self._files: list[tuple[LayerPlace, DoubtfulFile]] = []

    def directory(self, layer: LayerPlace, place: ScannedPlace, xattrs: Xattrs) -> Xattrs:
        """Note whether a layer's directory is opaque. Return its xattrs to commit."""
        if any(name.startswith(TRUSTED) for name, _ in xattrs):
            self._trusted.add(layer.home)
        found = opaque_by(xattrs)
        seen_by_kernel = place.path != layer.path
        if found and (layer.fuse or (seen_by_kernel and TRUSTED in found)):
            self._hide(place)
            return without_opaque(xattrs, b"y")
        if seen_by_kernel and USER in found:
            self._doubtful.append((layer, place))
        return xattrs

    def set_aside(self, layer: LayerPlace, file: DoubtfulFile) -> None:
        """Keep a file until `settle`."""
        self._files.append((layer, file))

    def settle(self) -> list[tuple[DoubtfulFile, bool]]:
        """Decide about all marks that were set aside. Return each file, and whether it is a
        whiteout."""
        for layer, place in self._doubtful:
            owner = place.node.owner
            if layer.home not in self._trusted and owner is not None:
                self._hide(place)
                place.node.owner = owner._replace(xattrs=without_opaque(owner.xattrs, b"y"))
        return [(file, layer.home not in self._trusted) for layer, file in self._files]

    def _hide(self, place: ScannedPlace) -> None:
        place.node.opaque = True
        self._found.marks.append(Mark(place.path, b"", WhiteoutForm.OPAQUE))
