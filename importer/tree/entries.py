"""Classify entries of a directory on disk that ostree cannot store: whiteouts, devices, sockets."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.tree.builder import DeviceNodes
from layers.whiteout import OPAQUE_MARKER, QUOTED_PREFIX

if TYPE_CHECKING:
    import os

    from layers.path import Path

_FUSE_PREFIX = b".wh."
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


WHITEOUTS = (WhiteoutForm.CHAR, WhiteoutForm.XATTR, WhiteoutForm.FUSE, WhiteoutForm.QUOTED)


@dataclass(frozen=True, slots=True)
class Mark:
    """An entry of one of these forms: its directory's path, and its name (b"" for the directory
    itself)."""

    directory: Path
    name: bytes
    form: WhiteoutForm


def form_of_node(name: bytes, status: os.stat_result, *, in_layer: bool) -> WhiteoutForm | None:
    """Return the form of a device, fifo or socket; None for other entries."""
    mode = status.st_mode
    if stat.S_ISCHR(mode) and status.st_rdev == 0:
        return WhiteoutForm.CHAR
    if stat.S_ISBLK(mode) and name == _BACKING_DEVICE and not in_layer:
        return WhiteoutForm.BACKING
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return WhiteoutForm.DEVICE
    if stat.S_ISFIFO(mode):
        return WhiteoutForm.FIFO
    return WhiteoutForm.SOCKET if stat.S_ISSOCK(mode) else None


def form_of_fuse_file(name: bytes) -> WhiteoutForm | None:
    """Return the form of fuse-overlayfs's whiteouts and opaque markers, None for another name.

    Source: github.com/containers/fuse-overlayfs main.c, `create_whiteout` and `set_fd_opaque`.
    """
    if name == OPAQUE_MARKER:
        return WhiteoutForm.OPAQUE_FILE
    return WhiteoutForm.FUSE if name.startswith(_FUSE_PREFIX) else None


def hidden_by(name: bytes, form: WhiteoutForm) -> bytes:
    """Return the name that a whiteout of this form hides. Raise LayerError if it hides none."""
    prefix = {WhiteoutForm.FUSE: _FUSE_PREFIX, WhiteoutForm.QUOTED: QUOTED_PREFIX}.get(form, b"")
    hidden = name.removeprefix(prefix)
    if hidden in (b"", b".", b".."):
        raise LayerError("a whiteout that names nothing")
    return hidden


def check_left_out(above: Path, form: WhiteoutForm, choice: DeviceNodes) -> None:
    """Raise LayerError unless --device-nodes allows leaving a device node or fifo out.

    `above` is the path of its directory in the tree, or in its layer.
    """
    in_dev = above[:1] == (b"dev",)
    if choice is DeviceNodes.ERROR or (choice is DeviceNodes.AUTO and not in_dev):
        what = "a fifo" if form is WhiteoutForm.FIFO else "a device node"
        raise LayerError(
            f"ostree cannot hold {what}", hint="--device-nodes=skip leaves such entries out"
        )


def check_empty(status: os.stat_result) -> None:
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
    _check_utf8(name)


def check_hidden(name: bytes) -> None:
    """Raise LayerError for a name whose quoted whiteout a commit cannot store."""
    if len(QUOTED_PREFIX) + len(name) > _NAME_MAX:
        raise LayerError(
            f"the whiteout's name has {len(name)} bytes; quoted for ostree it is longer than"
            f" {_NAME_MAX}",
            hint="use a store without this layer, or rebuild the image with a shorter name",
        )
    _check_utf8(name)


def _check_utf8(name: bytes) -> None:
    try:
        name.decode()
    except UnicodeDecodeError:
        raise LayerError(
            "the name is not UTF-8", hint="ostree's directory trees hold UTF-8 names only"
        ) from None
