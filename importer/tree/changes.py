"""The changes that `import-tree --in-place` makes: each can be made, repeated and undone.

A whiteout is translated by two changes: first its quoted file is made, then the whiteout is
removed. In between both exist, so a kill at any moment loses no deletion.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from importer.errors import ImporterError
from importer.tree.descriptors import open_file, symlink_path, xattrs_of
from layers.errors import printable

if TYPE_CHECKING:
    from layers.entry import Xattrs
    from layers.path import Path

_ACL = b"system.posix_acl_access"
# The temporary name of a node that `undo` makes.
_NEW = b".import-tree-undo"
_CHANGED = "it is not as the journal says; somebody else has changed it since"


class Change(Protocol):
    """A change of one name, or of a directory's xattr."""

    @property
    def directory(self) -> Path:
        """Return the path of the directory in which the change is made."""

    def do(self, directory: int) -> None:
        """Make the change in an open directory. Idempotent. Raise ImporterError if the name now
        belongs to something else."""

    def undo(self, directory: int) -> None:
        """Undo the change. Idempotent. Raise ImporterError if the name now belongs to something
        else."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Make an empty file `name`, of mode 0 and owner 0:0: a quoted whiteout."""

    directory: Path
    name: bytes

    def do(self, directory: int) -> None:
        """See `Change`."""
        try:
            descriptor = os.open(
                self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0, dir_fd=directory
            )
        except FileExistsError:
            _check_quoted(directory, self.name)
            return
        try:
            # The file may have inherited the directory's group and default ACL.
            if os.geteuid() == 0:
                os.fchown(descriptor, 0, 0)
            if any(name == _ACL for name, _ in xattrs_of(descriptor)):
                os.removexattr(descriptor, _ACL)
        finally:
            os.close(descriptor)

    def undo(self, directory: int) -> None:
        """See `Change`."""
        with suppress(FileNotFoundError):
            _check_quoted(directory, self.name)
            os.unlink(self.name, dir_fd=directory)


@dataclass(frozen=True, slots=True)
class Node:
    """A removed node: mode with the file type, owner, device number, mtime in nanoseconds."""

    mode: int
    uid: int
    gid: int
    device: int
    mtime: int
    xattrs: Xattrs = ()


def node_at(directory: int, name: bytes) -> Node:
    """Return an empty file, device, fifo or socket as a Node. Raise OSError as stat(2) does."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return Node(
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_rdev,
        max(0, status.st_mtime_ns),
        _xattrs(directory, name, status.st_mode),
    )


def _xattrs(directory: int, name: bytes, mode: int) -> Xattrs:
    if not stat.S_ISREG(mode):
        return xattrs_of(symlink_path(name, directory))
    file = open_file(name, directory)
    try:
        return xattrs_of(file)
    finally:
        os.close(file)


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove `name`, which is `node`: a whiteout, or an entry that ostree cannot store."""

    directory: Path
    name: bytes
    node: Node

    def do(self, directory: int) -> None:
        """See `Change`."""
        with suppress(FileNotFoundError):
            self._check(directory)
            os.unlink(self.name, dir_fd=directory)

    def undo(self, directory: int) -> None:
        """See `Change`."""
        try:
            self._check(directory)
        except FileNotFoundError:
            self._make(directory)

    def _check(self, directory: int) -> None:
        """Raise ImporterError if `name` is another node, FileNotFoundError if it is missing."""
        found = os.stat(self.name, dir_fd=directory, follow_symlinks=False)
        same = stat.S_IFMT(found.st_mode) == stat.S_IFMT(self.node.mode)
        if not same or found.st_rdev != self.node.device or found.st_size:
            raise ImporterError(f"{printable(self.name)}: {_CHANGED}")

    def _make(self, directory: int) -> None:
        """Make the node under a temporary name, and rename it when it is complete."""
        node = self.node
        with suppress(FileNotFoundError):
            os.unlink(_NEW, dir_fd=directory)
        umask = os.umask(0)  # chmod(2) would follow a symlink that took the name meanwhile
        try:
            os.mknod(_NEW, node.mode, node.device, dir_fd=directory)
        finally:
            os.umask(umask)
        with suppress(PermissionError):  # only root may; a user's node has its owner already
            os.chown(_NEW, node.uid, node.gid, dir_fd=directory, follow_symlinks=False)
        for name, value in node.xattrs:
            path = symlink_path(_NEW, directory)
            os.setxattr(path, name, value, follow_symlinks=False)
        os.utime(_NEW, ns=(node.mtime, node.mtime), dir_fd=directory, follow_symlinks=False)
        os.rename(_NEW, self.name, src_dir_fd=directory, dst_dir_fd=directory)


@dataclass(frozen=True, slots=True)
class Clear:
    """Remove the directory's own xattr `name`, whose value is `value`."""

    directory: Path
    name: bytes
    value: bytes

    def do(self, directory: int) -> None:
        """See `Change`."""
        if self._current(directory) is not None:
            os.removexattr(directory, self.name)

    def undo(self, directory: int) -> None:
        """See `Change`."""
        if self._current(directory) is None:
            os.setxattr(directory, self.name, self.value)

    def _current(self, directory: int) -> bytes | None:
        value = dict(xattrs_of(directory)).get(self.name)
        if value not in (None, self.value):
            raise ImporterError(f"{printable(self.name)}: {_CHANGED}")
        return value


def _check_quoted(directory: int, name: bytes) -> None:
    """Raise FileNotFoundError if the name is missing, ImporterError unless it is an empty file."""
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode) or found.st_size:
        raise ImporterError(f"{printable(name)}: {_CHANGED}")
