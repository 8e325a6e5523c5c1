"""Find the data of a file of which overlayfs has copied up the metadata alone (`metacopy=on`).

The file has the size, owner, mode and xattrs that count, and reads as zeros. Its data is in the
nearest lower layer that has the file's path, or the path that the file's redirect names. Source:
the kernel's fs/overlayfs/namei.c, `ovl_lookup` (Linux 6.18).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from importer.files.beneath import Beneath, look_at
from importer.files.xattrs import xattrs_of
from layers.errors import LayerError
from layers.path import joined
from layers.tree.overlay_xattrs import is_metacopy, is_opaque, redirected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from layers.entry import Xattrs
    from layers.path import Path

_HINT = (
    "the kernel's overlayfs wrote the layer with metacopy=on; commit it together with the layers"
    " below, or make its files whole: mount it, and copy them"
)


class _LowerEntry(NamedTuple):
    """The entry at a path in a lower layer, with `kind` None if there is none. `hides` tells that
    deeper layers do not show through there."""

    kind: int | None
    size: int
    xattrs: Xattrs
    hides: bool


class Layers(NamedTuple):
    """The paths of a layer and of those below it, nearest first, beneath an open directory."""

    root: int
    paths: Sequence[Path]

    def data_path(self, path: Path, size: int, xattrs: Xattrs) -> Path:
        """Return the path below the root of the file that has the data of a file of `size` bytes,
        which is at `path` in the first layer.

        Raise LayerError if the data is in none of them. Raise OSError as open(2) does.
        """
        place = redirected(path, xattrs)
        for layer in self._lowers(path, place):
            entry = _look(self.root, layer, place)
            if entry.kind is not None:
                if not stat.S_ISREG(entry.kind):
                    break
                if not is_metacopy(entry.xattrs):
                    if entry.size != size:
                        break
                    return (*layer, *place)
                place = redirected(place, entry.xattrs)
            if entry.hides:
                break
        raise LayerError("its data is in a lower layer, where it is not to be found", hint=_HINT)

    def open_data(self, path: Path, size: int, xattrs: Xattrs) -> int:
        """Return a descriptor that reads the file at `data_path`; the caller closes it."""
        with Beneath(self.root) as beneath:
            return beneath.file(self.data_path(path, size, xattrs))

    def _lowers(self, path: Path, place: Path) -> Sequence[Path]:
        """Return the layers that may have the data. A directory that is opaque hides all of them
        from the files in it, unless they are redirected elsewhere."""
        lowers = self.paths[1:]
        if lowers and place[:-1] == path[:-1]:
            return () if _look(self.root, self.paths[0], path[:-1]).hides else lowers
        return lowers


def _look(root: int, layer: Path, path: Path) -> _LowerEntry:
    """Look up a path in a layer, as overlayfs does: no symlink is followed."""
    hides = False
    at = look_at(root, joined(layer))
    try:
        for number, name in enumerate(path, 1):
            try:
                below = look_at(at, name)
            except FileNotFoundError:
                return _LowerEntry(None, 0, (), hides)
            os.close(at)
            at = below
            if number < len(path) and not stat.S_ISDIR(os.fstat(at).st_mode):
                return _LowerEntry(None, 0, (), hides=True)
            if stat.S_ISDIR(os.fstat(at).st_mode):
                hides = hides or is_opaque(xattrs_of(at))
        status = os.fstat(at)
        return _LowerEntry(status.st_mode, status.st_size, xattrs_of(at), hides)
    finally:
        os.close(at)
