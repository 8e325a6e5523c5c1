"""Classify entries of a directory on disk that ostree cannot store: whiteouts, devices, sockets."""

from __future__ import annotations

import os
import stat
from enum import Enum
from typing import TYPE_CHECKING

from importer.files.beneath import open_file
from importer.files.descriptors import held
from importer.files.xattrs import xattrs_of
from importer.tree.file_batch import lower_layers
from layers.errors import LayerError
from layers.frozen import frozen
from layers.ondisk.change import Fill
from layers.path import check_utf8, joined
from layers.tree.overlay_xattrs import (
    TRUSTED,
    USER,
    fill_xattrs,
    is_metacopy,
    whiteout_by,
    without_opaque,
)
from layers.whiteout import OPAQUE_MARKER, QUOTED_PREFIX, WHITEOUT_PREFIX, hidden_name, is_whiteout

if TYPE_CHECKING:
    from importer.tree.scanned import Rules, ScannedFile
    from layers.entry import Xattrs
    from layers.path import Path

_BACKING_DEVICE = b"backingFsBlockDev"
_NAME_MAX = 255  # include/uapi/linux/limits.h
_SELF_MADE = "ostree has no way to escape the name; rename the file, or leave it out by --skip-list"


class WhiteoutForm(Enum):
    """A form of entry on disk that a commit stores in another way, or not at all."""

    CHAR = "char 0:0"  # a whiteout of overlayfs
    XATTR = "whiteout xattr"  # the same, on an empty regular file
    USER_XATTR = "whiteout xattr, perhaps"  # of mounts with `userxattr`
    FUSE = ".wh. file"  # a whiteout of fuse-overlayfs
    QUOTED = "quoted whiteout"  # made by `import-tree translate`
    OPAQUE = "opaque xattr"  # of the directory itself
    OPAQUE_FILE = "opaque .wh..wh..opq"  # in the directory, by fuse-overlayfs
    DEVICE = "device"
    FIFO = "fifo"
    SOCKET = "socket"
    BACKING = "backing device"  # of containers-storage's and Docker's quota code


_PREFIXES = {WhiteoutForm.FUSE: WHITEOUT_PREFIX, WhiteoutForm.QUOTED: QUOTED_PREFIX}


@frozen
class Mark:
    """An entry of one of these forms: its directory's path, and its name (b"" for the directory
    itself)."""

    directory: Path
    name: bytes
    form: WhiteoutForm


def form_of(file: ScannedFile, directory: int, rules: Rules) -> WhiteoutForm | None:
    """Return the form of an entry of the open directory; None for a file or symlink.

    Raise LayerError for a whiteout's file that has content.
    """
    mode = file.status.st_mode
    if stat.S_ISREG(mode):
        return _form_of_file(file, directory, rules)
    if stat.S_ISCHR(mode) and file.status.st_rdev == 0:
        return WhiteoutForm.CHAR
    if stat.S_ISBLK(mode) and file.name == _BACKING_DEVICE and file.place.layer is None:
        return WhiteoutForm.BACKING
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return WhiteoutForm.DEVICE
    if stat.S_ISFIFO(mode):
        return WhiteoutForm.FIFO
    return WhiteoutForm.SOCKET if stat.S_ISSOCK(mode) else None


def _form_of_file(file: ScannedFile, directory: int, rules: Rules) -> WhiteoutForm | None:
    """Return the form of a regular file that is a whiteout or an opaque marker, else None."""
    name, layer = file.name, file.place.layer
    if rules.own_whiteouts and joined(file.path) in rules.own_whiteouts:
        return WhiteoutForm.QUOTED
    if layer is not None and layer.fuse and is_whiteout(name):
        _check_empty(file.status)
        # fuse-overlayfs, main.c, `create_whiteout` and `set_fd_opaque`.
        return WhiteoutForm.OPAQUE_FILE if name == OPAQUE_MARKER else WhiteoutForm.FUSE
    if file.status.st_size:
        return None
    namespaces = whiteout_by(_opened(directory, name)[1])
    if layer is None or layer.fuse:
        return WhiteoutForm.XATTR if namespaces else None
    if TRUSTED in namespaces:
        return WhiteoutForm.XATTR
    return WhiteoutForm.USER_XATTR if USER in namespaces else None


def _opened(directory: int, name: bytes) -> tuple[os.stat_result, Xattrs]:
    """Open a file, and return its status and xattrs."""
    with held(open_file(directory, name)) as descriptor:
        return os.fstat(descriptor), xattrs_of(descriptor)


def fills(root: int, file: ScannedFile, directory: int) -> list[Fill]:
    """Return the change that gives a file of the open directory its data, if the data is in a lower
    layer of the tree at `root`. Raise LayerError if the layers do not have the data."""
    status, xattrs = _opened(directory, file.name)
    if not is_metacopy(xattrs):
        return []
    layers = lower_layers(root, file.place.layer)
    source = layers.data_path(file.path[len(layers.paths[0]) :], status.st_size, xattrs)
    inode, mtime = status.st_ino, status.st_mtime_ns
    return [Fill(file.place.path, file.name, source, inode, mtime, fill_xattrs(xattrs))]


def take(file: ScannedFile, form: WhiteoutForm, rules: Rules) -> Mark:
    """Add an entry of this form to the tree, and return its mark.

    Raise LayerError for an entry that the rules or ostree refuse.
    """
    path, node, _, layer, _ = file.place
    if form in (WhiteoutForm.DEVICE, WhiteoutForm.FIFO):
        above = path[len(layer.path) :] if layer is not None else path
        what = "a fifo" if form is WhiteoutForm.FIFO else "a device node"
        rules.device_nodes.check(what, in_dev=above[:1] == (b"dev",))
    if form in (WhiteoutForm.DEVICE, WhiteoutForm.FIFO, WhiteoutForm.SOCKET):
        if layer is not None:
            # The node is left out, but must still hide a lower layer's entry of its name.
            _check_hidden(file.name)
            node.whiteouts.add(file.name)
    elif form is WhiteoutForm.OPAQUE_FILE:
        node.opaque = True
    elif form is not WhiteoutForm.BACKING:
        hidden = hidden_by(file.name, form)
        _check_hidden(hidden)
        node.whiteouts.add(hidden)
    if form is WhiteoutForm.XATTR and node.owner is not None:
        # The value `x` tells overlayfs to look for such whiteouts.
        xattrs = without_opaque(node.owner.xattrs, b"x")
        node.owner = node.owner._replace(xattrs=xattrs)
    return Mark(path, file.name, form)


def hidden_by(name: bytes, form: WhiteoutForm) -> bytes:
    """Return the name that a whiteout of this form hides. Raise LayerError if it hides none."""
    return hidden_name(name, _PREFIXES.get(form, b""))


def _check_empty(status: os.stat_result) -> None:
    """Raise LayerError for a whiteout's file that has content."""
    if status.st_size:
        raise LayerError(
            "the file is named like a whiteout of fuse-overlayfs, and has content",
            hint="fuse-overlayfs hides such a file; rename it, or leave it out by --skip-list",
        )


def check_name(name: bytes) -> None:
    """Raise LayerError for a file's name that a commit cannot store, or that quotes a whiteout."""
    if name.startswith(QUOTED_PREFIX):
        raise LayerError(
            "ostree would turn a file of this name into a whiteout when it deploys the commit",
            hint=_SELF_MADE,
        )
    check_utf8(name)


def _check_hidden(name: bytes) -> None:
    """Raise LayerError for a name whose quoted whiteout a commit cannot store."""
    if len(QUOTED_PREFIX) + len(name) > _NAME_MAX:
        raise LayerError(
            f"the whiteout's name has {len(name)} bytes; quoted for ostree it is longer than"
            f" {_NAME_MAX}",
            hint="use a store without this layer, or rebuild the image with a shorter name",
        )
    check_utf8(name)
