"""A layer's `diff` directory in somebody's store, as the place of its files' contents."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Self

from importer.files.beneath import look_at, open_directory, open_file
from importer.graphroot.files import DAMAGED, Directory, faults, pieces, xattrs
from layers.errors import LayerError
from layers.path import Path, components, joined
from layers.tree.overlay_xattrs import check_complete

if TYPE_CHECKING:
    from layers.chunks import Chunks
    from layers.entry import Xattrs
    from layers.tarsplit.record_reader import Content

# podman's record does not give every tar again; docs/semantics.md, "tar-split", has the list.
_NOT_THE_TAR = (
    "a file of the layer has changed since it was pulled, or the store could not record its tar;"
    " import the image from its registry, with import-image"
)
# What open(2) says of a path that leads nowhere, or through something else than directories.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class LayerDirectory:
    """Gives the contents that a tar-split record asks for; nothing is followed out of it."""

    def __init__(self, directory: Directory) -> None:
        """Read from the layer's directory, which stays the caller's."""
        self._root = directory
        self._parent: tuple[Path, int] = ((), -1)

    def __enter__(self) -> Self:
        self._parent = ((), os.dup(self._root.descriptor))
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._parent[1])

    def content(self, part: Content) -> Chunks:
        """All of the file's bytes; LayerError if it is not there or of another size."""
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
                yield from pieces(descriptor)
        finally:
            os.close(descriptor)

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
        """The one of the last call is kept: a tar has a directory's files one after the other."""
        if path != self._parent[0]:
            root = self._root.descriptor
            descriptor = open_directory(root, joined(path)) if path else os.dup(root)
            os.close(self._parent[1])
            self._parent = (path, descriptor)
        return self._parent[1]

    def _full(self, path: Path) -> bytes:
        return self._root.full(joined(path))

    def explained(self, error: LayerError) -> LayerError:
        """The error, or what overlayfs has to do with it, where the path's xattrs tell.

        An error without a path is about the tar as a whole: the record does not give it again.
        """
        if error.path is None:
            return error.within(hint=_NOT_THE_TAR)
        try:
            path = components(error.path)
            for depth in range(1, len(path) + 1):
                check_complete(self._xattrs(path[:depth]))
        except LayerError as cause:
            return cause.within(path=error.path)
        except OSError:
            pass  # what is not there has nothing to say
        return error

    def _xattrs(self, path: Path) -> Xattrs:
        descriptor = look_at(self._root.descriptor, joined(path))
        try:
            return xattrs(descriptor)
        finally:
            os.close(descriptor)
