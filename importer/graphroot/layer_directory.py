"""Read the contents of a layer's files from its `diff` directory in an existing store."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Self

from importer.files.beneath import look_at, open_directory, open_file
from importer.files.xattrs import xattrs_of
from importer.graphroot.files import DAMAGED, StoreDirectory, faults, sized_pieces
from layers.errors import LayerError
from layers.path import Path, components, joined
from layers.tree.overlay_xattrs import check_complete, is_metacopy

if TYPE_CHECKING:
    from importer.files.lower_data import Layers
    from layers.chunks import Chunks
    from layers.tarsplit.record_reader import FileContent

# podman's record does not give every tar again; docs/semantics.md, "tar-split", has the list.
_NOT_THE_TAR = (
    "a file of the layer has changed since it was pulled, or the store could not record its tar:"
    " import the image from its registry; a layer that import-image refuses there, since it is cut"
    " short, has to be built anew"
)
# open(2)'s errors for a path that does not exist, or leads through a file or a symlink.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class LayerDirectory:
    """Read the contents that a tar-split record asks for, beneath the directory alone."""

    def __init__(self, directory: StoreDirectory, layers: Layers) -> None:
        """Read from the layer's directory; the caller closes it. `layers` may have the data of a
        file that overlayfs has copied up without it."""
        self._root = directory
        self._layers = layers
        self._parent: tuple[Path, int] = ((), -1)

    def __enter__(self) -> Self:
        self._parent = ((), os.dup(self._root.descriptor))
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._parent[1])

    def content(self, part: FileContent) -> Chunks:
        """Yield all of a file's bytes. Raise LayerError if the file is missing, is not a regular
        file, or has another size than the record says."""
        path = components(part.path)
        descriptor = self._open(path)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise LayerError("the layer's directory has no regular file there", hint=DAMAGED)
            if status.st_size != part.size:
                raise LayerError(
                    f"the file has {status.st_size} bytes, and had {part.size} when the layer was"
                    " unpacked",
                    hint=DAMAGED,
                )
            with faults(self._full(path)):
                descriptor = self._with_data(descriptor, path, part.size)
                yield from sized_pieces(descriptor, part.size, self._full(path))
        finally:
            os.close(descriptor)

    def _with_data(self, descriptor: int, path: Path, size: int) -> int:
        """Return a descriptor of the file's data, this one unless a lower layer has the data."""
        xattrs = xattrs_of(descriptor)
        if not is_metacopy(xattrs):
            return descriptor
        data = open_file(self._layers.root, joined(self._layers.data_path(path, size, xattrs)))
        os.close(descriptor)
        return data

    def _open(self, path: Path) -> int:
        with faults(self._full(path)):
            try:
                if not path:
                    return os.dup(self._root.descriptor)
                return open_file(self._directory(path[:-1]), path[-1])
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                message = "the file is gone from the layer's directory"
                raise LayerError(message, hint=DAMAGED) from None

    def _directory(self, path: Path) -> int:
        """Return a directory's descriptor. It stays open until another directory is asked for,
        since a tar has a directory's files one after the other."""
        if path != self._parent[0]:
            root = self._root.descriptor
            descriptor = open_directory(root, joined(path)) if path else os.dup(root)
            os.close(self._parent[1])
            self._parent = (path, descriptor)
        return self._parent[1]

    def _full(self, path: Path) -> bytes:
        return self._root.full(joined(path))

    def explained(self, error: LayerError) -> LayerError:
        """Return the error, or its cause if the path's overlayfs xattrs tell one.

        An error without a path means that the record does not give the layer's tar again; it gets
        a hint that says so.
        """
        if error.path is None:
            return error.within(hint=_NOT_THE_TAR)
        try:
            path = components(error.path)
            for depth in range(1, len(path) + 1):
                self._check_complete(path[:depth])
        except LayerError as cause:
            return cause.within(path=error.path)
        except OSError:
            pass  # a missing file has no xattrs that could explain the error
        return error

    def _check_complete(self, path: Path) -> None:
        descriptor = look_at(self._root.descriptor, joined(path))
        try:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                check_complete(xattrs_of(descriptor), directory=True)
        finally:
            os.close(descriptor)
