"""Make, repeat and undo the changes of `import-tree translate`.

A whiteout is translated by two changes: first its quoted file is made, then the whiteout is
removed. In between both exist, so a kill at any moment loses no deletion. Each function is
idempotent, and raises ImporterError, with the name as path, if the name now belongs to something
else.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.beneath import Beneath, look_at
from importer.files.descriptors import held
from importer.files.xattrs import xattrs_of
from layers.ondisk.change import Change, Clear, Fill, Node, Quote, Remove, Times
from layers.tree.overlay_xattrs import is_metacopy, without_metacopy

if TYPE_CHECKING:
    from collections.abc import Iterator

_ACL = b"system.posix_acl_access"
# The temporary name of a node that `undo` makes.
_NEW = b".import-tree-undo"
_UPDATE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_CHANGED = "it is not as the journal says; somebody else has changed it since"


def make(change: Change, directory: int, root: int) -> None:
    """Make a change in an open directory of the tree at the open directory `root`."""
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
        case Fill():
            _fill(change, directory, root)
        case Times():
            pass


def undo(change: Change, directory: int, root: int) -> None:  # noqa: ARG001 - as for `make`
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
        case Fill():
            _empty(change, directory)
        case Times(mtime=mtime):
            os.utime(directory, ns=(os.fstat(directory).st_atime_ns, mtime))


def node_at(directory: int, name: bytes) -> Node:
    """Return an empty file, device, fifo or socket as a Node. Raise OSError as stat(2) does."""
    with held(look_at(directory, name)) as descriptor:
        status, xattrs = os.fstat(descriptor), xattrs_of(descriptor)
    return Node(
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_rdev,
        max(0, status.st_mtime_ns),
        xattrs,
    )


def _quote(directory: int, name: bytes) -> None:
    try:
        descriptor = os.open(name, _CREATE, 0, dir_fd=directory)
    except FileExistsError:
        _check_quoted(directory, name)
        return
    with held(descriptor):
        # The file may have inherited the directory's group and default ACL.
        if os.geteuid() == 0:
            os.fchown(descriptor, 0, 0)
        if any(xattr == _ACL for xattr, _ in xattrs_of(descriptor)):
            os.removexattr(descriptor, _ACL)


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
    with held(descriptor):
        # Whoever may write to the directory may exchange the name: only the descriptor is changed.
        path = f"/proc/self/fd/{descriptor}"
        with suppress(PermissionError):  # only root may; a user's node has its owner already
            os.chown(path, node.uid, node.gid)
        for xattr, value in node.xattrs:
            os.setxattr(path, xattr, value)
        os.utime(path, ns=(node.mtime, node.mtime))
        os.rename(_NEW, name, src_dir_fd=directory, dst_dir_fd=directory)


def _made(directory: int, node: Node) -> int:
    """Make the node, owned by this user, and return its descriptor. Raise ImporterError if its name
    is exchanged meanwhile."""
    if stat.S_ISREG(node.mode):
        return os.open(_NEW, _CREATE, stat.S_IMODE(node.mode), dir_fd=directory)
    os.mknod(_NEW, node.mode, node.device, dir_fd=directory)
    descriptor = os.open(_NEW, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    status = os.fstat(descriptor)
    mine = status.st_uid == os.geteuid() and status.st_nlink == 1
    if not (mine and status.st_mode == node.mode and status.st_rdev == node.device):
        os.close(descriptor)
        raise ImporterError("somebody else has put something in its place", path=_NEW)
    return descriptor


def _check_node(directory: int, name: bytes, node: Node) -> None:
    """Raise ImporterError if `name` is another node, FileNotFoundError if it is missing."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    same = stat.S_IFMT(status.st_mode) == stat.S_IFMT(node.mode)
    if not same or status.st_rdev != node.device or status.st_size:
        raise ImporterError(_CHANGED, path=name)


def _current(directory: int, change: Clear) -> bytes | None:
    value = dict(xattrs_of(directory)).get(change.name)
    if value not in (None, change.value):
        raise ImporterError(_CHANGED, path=change.name)
    return value


@contextmanager
def _rewritten(change: Fill, directory: int) -> Iterator[int]:
    """Yield a descriptor to write to the file. At the end restore its mtime, and its capability,
    which a write removes (capabilities(7), "File capabilities").

    Raise ImporterError if it is not the file of the journal.
    """
    with held(os.open(change.name, _UPDATE, dir_fd=directory)) as descriptor:
        before = os.fstat(descriptor)
        if (before.st_ino, before.st_mtime_ns) != (change.inode, change.mtime):
            raise ImporterError(_CHANGED, path=change.name)
        yield descriptor
        for xattr, value in without_metacopy(change.xattrs):
            os.setxattr(descriptor, xattr, value)
        os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))


def _fill(change: Fill, directory: int, root: int) -> None:
    with _rewritten(change, directory) as file, Beneath(root) as beneath:
        present = dict(xattrs_of(file))
        if not is_metacopy(tuple(present.items())):
            return  # made already
        with held(beneath.file(change.source)) as source:
            size = os.fstat(source).st_size
            if size != os.fstat(file).st_size:
                raise ImporterError(_CHANGED, path=change.name)
            _copy(source, file, size)
        os.fsync(file)  # the data is there before the mark goes
        for xattr in dict(change.xattrs).keys() - dict(without_metacopy(change.xattrs)).keys():
            if xattr in present:
                os.removexattr(file, xattr)


def _copy(source: int, file: int, size: int) -> None:
    """Copy the data of a file to one of the same size that reads as zeros; holes stay holes."""
    end = 0
    while end < size:
        try:
            at = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data behind: lseek(2)
                return
            raise
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(file, at, os.SEEK_SET)
        while at < end and (sent := os.sendfile(file, source, at, end - at)):
            at += sent


def _empty(change: Fill, directory: int) -> None:
    with _rewritten(change, directory) as file:
        for xattr, value in change.xattrs:
            os.setxattr(file, xattr, value)
        size = os.fstat(file).st_size
        os.truncate(file, 0)
        os.truncate(file, size)


def _check_quoted(directory: int, name: bytes) -> None:
    """Raise FileNotFoundError if the name is missing, ImporterError unless it is an empty file."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        raise ImporterError(_CHANGED, path=name)
