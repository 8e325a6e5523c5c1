"""Give files on the disk their owner, permissions, xattrs and time.

An xattr marks the files of each layer as a component, for tools that divide an image into layers
anew. chunkah (src/components/xattr.rs, August 2026) and `rpm-ostree compose build-chunked-oci`
(rust/src/container.rs, June 2026) read `user.component`: a file or directory belongs to the
component of its own xattr, or else of the nearest directory above that has one. chunkah reads
`user.update-interval` as well, in days, of any file or directory with the component.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.xattrs import xattrs_of
from importer.store.artifact_files import blob_checksums
from importer.store.layers import layer_parts
from layers.entry import Owner, unlabelled
from layers.errors import printable
from layers.path import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from importer.store.reader import StoreView
    from layers.entry import Xattrs
    from layers.path import Path

_NAME, _INTERVAL = b"user.component", b"user.update-interval"


class Components:
    """The components of a store: a layer's directory, blocker and tar-split record are one; and so
    is each blob of an artifact.

    `days` is how often layers change, as chunkah takes it; None makes no components.
    """

    def __init__(self, store: StoreView, days: int | None) -> None:
        self._xattrs: Mapping[Path, Xattrs] = {}
        if days is not None:
            self._xattrs = {
                path: ((_NAME, b"container-layer-" + layer.encode()), (_INTERVAL, b"%d" % days))
                for layer in (*store.layers, *blob_checksums(store.root))
                for path in layer_parts(store.root, layer)
            }

    def marked(self, owner: Owner, path: Path) -> Owner:
        """Return the owner of a path in the store, with the xattrs of a component that begins
        there."""
        added = self._xattrs.get(path, ())
        return owner._replace(xattrs=tuple(sorted({*owner.xattrs, *added}))) if added else owner


_SET_ID = 0o6000
_USER = b"user."
_ALL = 0o7777
# chown(2): no privilege, or an id that the user namespace does not have; setxattr(2): no privilege,
# or a file system without xattrs.
_REFUSED = (errno.EPERM, errno.EINVAL, errno.EACCES, errno.ENOTSUP)
_HINT = (
    "root needs CAP_CHOWN, CAP_FOWNER and CAP_SETFCAP, which a container build has unless they are"
    " dropped, and the ids in its user namespace, as in `podman unshare`; --to tar:FILE needs none"
)


class DiskOwners:
    """Gives files the owners of the commit. Only root can give files to others: another user owns
    all files, and `lost` counts the files that should belong to others."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._uid, self._gid = os.geteuid(), os.getegid()
        self._seen: set[Path] = set()
        self.lost = 0
        self.first = b""

    def possible(self, owner: Owner, path: Path) -> Owner:
        """Return the owner that this user can give. Without the right owner a file has no set-id
        bits; only root can set xattrs other than `user.*`."""
        owner = self._components.marked(unlabelled(owner), path)
        if self._uid == 0:
            return owner
        xattrs = tuple(xattr for xattr in owner.xattrs if xattr[0].startswith(_USER))
        others = (owner.uid, owner.gid) != (0, 0)
        if others or xattrs != owner.xattrs:
            self._note(path)
        mode = owner.mode & ~_SET_ID if others else owner.mode
        return Owner(mode, self._uid, self._gid, xattrs)

    def _note(self, path: Path) -> None:
        self.first = self.first or joined(path)
        self.lost += 1

    def give(self, descriptor: int, owner: Owner, path: Path) -> None:
        """Give an open file or directory this owner, and the time 0, as in a deployment."""
        status = os.fstat(descriptor)
        with _naming(path, owner):
            if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
                os.fchown(descriptor, owner.uid, owner.gid)
            # Before the mode, which may forbid it to others than root.
            present = set(xattrs_of(descriptor))
            for name, value in owner.xattrs:
                if (name, value) not in present:
                    os.setxattr(descriptor, name, value)
            os.fchmod(descriptor, owner.mode)
            os.utime(descriptor, ns=(0, 0))

    def give_link(self, directory: int, name: bytes, owner: Owner, path: Path) -> None:
        """Give a symlink or a whiteout this owner, and the time 0."""
        with _naming(path, owner):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
                os.chown(name, owner.uid, owner.gid, dir_fd=directory, follow_symlinks=False)
            for xattr in owner.xattrs:
                os.setxattr(_path(directory, name), *xattr, follow_symlinks=False)
            os.utime(name, ns=(0, 0), dir_fd=directory, follow_symlinks=False)


def owner_on_disk(descriptor: int) -> Owner | None:
    """Return a file's owner, without its SELinux label; None if its time is not 0."""
    status = os.fstat(descriptor)
    if status.st_mtime_ns:
        return None
    xattrs = xattrs_of(descriptor)
    return unlabelled(Owner(status.st_mode & _ALL, status.st_uid, status.st_gid, xattrs))


def _path(directory: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%b" % (directory, name)


@contextmanager
def _naming(path: Path, owner: Owner) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        names = "".join(f", {printable(name)}" for name, _ in owner.xattrs)
        raise ImporterError(
            f"{printable(joined(path))} cannot be given to {owner.uid}:{owner.gid}, mode"
            f" {owner.mode:o}{names}: {error.strerror}",
            hint=_HINT if error.errno in _REFUSED else "",
        ) from error
