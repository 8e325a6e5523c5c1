"""Make, repeat and undo the changes of `import-tree --in-place`.

A whiteout is translated by two changes: first its quoted file is made, then the whiteout is
removed. In between both exist, so a kill at any moment loses no deletion. Each function is
idempotent, and raises ImporterError if a name now belongs to something else.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.tree.descriptors import open_file, symlink_path, xattrs_of
from layers.errors import printable
from layers.ondisk.change import Change, Clear, Node, Quote, Remove, Times

if TYPE_CHECKING:
    from layers.entry import Xattrs

_ACL = b"system.posix_acl_access"
# The temporary name of a node that `undo` makes.
_NEW = b".import-tree-undo"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_CHANGED = "it is not as the journal says; somebody else has changed it since"


def make(change: Change, directory: int) -> None:
    """Make a change in an open directory."""
    match change:
        case Quote(name=name):
            _quote(directory, name)
        case Remove(name=name, node=node):
            with suppress(FileNotFoundError):
                _check_node(directory, name, node)
                os.unlink(name, dir_fd=directory)
        case Clear(name=name):
            if _current(directory, change) is not None:
                os.removexattr(directory, name)
        case Times():
            pass


def undo(change: Change, directory: int) -> None:
    """Undo a change in an open directory."""
    match change:
        case Quote(name=name):
            with suppress(FileNotFoundError):
                _check_quoted(directory, name)
                os.unlink(name, dir_fd=directory)
        case Remove(name=name, node=node):
            try:
                _check_node(directory, name, node)
            except FileNotFoundError:
                _restore(directory, name, node)
        case Clear(name=name, value=value):
            if _current(directory, change) is None:
                os.setxattr(directory, name, value)
        case Times(mtime=mtime):
            os.utime(directory, ns=(os.fstat(directory).st_atime_ns, mtime))


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


def _quote(directory: int, name: bytes) -> None:
    try:
        descriptor = os.open(name, _CREATE, 0, dir_fd=directory)
    except FileExistsError:
        _check_quoted(directory, name)
        return
    try:
        # The file may have inherited the directory's group and default ACL.
        if os.geteuid() == 0:
            os.fchown(descriptor, 0, 0)
        if any(xattr == _ACL for xattr, _ in xattrs_of(descriptor)):
            os.removexattr(descriptor, _ACL)
    finally:
        os.close(descriptor)


def _restore(directory: int, name: bytes, node: Node) -> None:
    """Make the node under a temporary name, and rename it when it is complete."""
    with suppress(FileNotFoundError):  # a killed run left it
        _check_node(directory, _NEW, node)
        os.unlink(_NEW, dir_fd=directory)
    umask = os.umask(0)
    try:
        descriptor = _made(directory, node)
    finally:
        os.umask(umask)
    try:
        # Whoever may write to the directory may exchange the name: only the descriptor is changed.
        path = f"/proc/self/fd/{descriptor}"
        with suppress(PermissionError):  # only root may; a user's node has its owner already
            os.chown(path, node.uid, node.gid)
        for xattr, value in node.xattrs:
            os.setxattr(path, xattr, value)
        os.utime(path, ns=(node.mtime, node.mtime))
        os.rename(_NEW, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(descriptor)


def _made(directory: int, node: Node) -> int:
    """Make the node without an owner yet, and return a descriptor of it. Raise ImporterError if
    its name is exchanged meanwhile."""
    if stat.S_ISREG(node.mode):
        return os.open(_NEW, _CREATE, stat.S_IMODE(node.mode), dir_fd=directory)
    os.mknod(_NEW, node.mode, node.device, dir_fd=directory)
    descriptor = os.open(_NEW, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    found = os.fstat(descriptor)
    mine = found.st_uid == os.geteuid() and found.st_nlink == 1
    if not (mine and found.st_mode == node.mode and found.st_rdev == node.device):
        os.close(descriptor)
        raise ImporterError(f"{printable(_NEW)}: somebody else has put something in its place")
    return descriptor


def _check_node(directory: int, name: bytes, node: Node) -> None:
    """Raise ImporterError if `name` is another node, FileNotFoundError if it is missing."""
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    same = stat.S_IFMT(found.st_mode) == stat.S_IFMT(node.mode)
    if not same or found.st_rdev != node.device or found.st_size:
        raise ImporterError(f"{printable(name)}: {_CHANGED}")


def _current(directory: int, change: Clear) -> bytes | None:
    value = dict(xattrs_of(directory)).get(change.name)
    if value not in (None, change.value):
        raise ImporterError(f"{printable(change.name)}: {_CHANGED}")
    return value


def _check_quoted(directory: int, name: bytes) -> None:
    """Raise FileNotFoundError if the name is missing, ImporterError unless it is an empty file."""
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode) or found.st_size:
        raise ImporterError(f"{printable(name)}: {_CHANGED}")
