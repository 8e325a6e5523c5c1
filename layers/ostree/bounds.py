"""Refuse what ostree or a device's file system cannot hold. Larger commits can be made, but no
device could pull or deploy them.

Sources: libostree's OSTREE_MAX_METADATA_SIZE (ostree-core.h), which every pull over HTTP obeys; the
kernel's NAME_MAX (include/uapi/linux/limits.h); the kernel's
Documentation/filesystems/ext4/attributes.rst for the place of xattrs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.errors import LayerError
from layers.ostree.gvariant import array, members, string
from layers.whiteout import QUOTED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection

    from layers.entry import Xattrs

MAX_METADATA = 128 << 20
_NAME_MAX = 255
# A dirtree has beside each name its NUL, one checksum for a file or two for a directory, and up to
# five offsets of four bytes.
_BESIDE_A_FILE = 1 + 32 + 8
_BESIDE_A_DIRECTORY = 1 + 64 + 12
# ext4 keeps what does not fit into the inode in one block: a header of 32 bytes, an entry of 16
# bytes with the name behind it for each xattr, 4 zero bytes, and the values.
_XATTR_BLOCK = 4096 - 32 - 4
_XATTR_ENTRY = 16


def may_be_too_large(entries: int) -> bool:
    """Return whether a directory of so many entries is too large if all names are the longest."""
    return entries * (_NAME_MAX + _BESIDE_A_DIRECTORY) > MAX_METADATA


def check_directory(files: Collection[bytes], directories: Collection[bytes]) -> None:
    """Raise LayerError if a directory of these names would be too large a dirtree object."""
    if not may_be_too_large(len(files) + len(directories)):
        return
    size = sum(len(name) + _BESIDE_A_FILE for name in files)
    size += sum(len(name) + _BESIDE_A_DIRECTORY for name in directories)
    if size > MAX_METADATA:
        raise LayerError(
            f"the directory has {len(files) + len(directories)} entries, which make an ostree"
            f" object of {size} bytes; no pull takes more than {MAX_METADATA}",
            hint="the files have to be spread over several directories",
        )


def check_whiteout(name: bytes) -> None:
    """Raise LayerError if the quoted whiteout of this name has a name that is too long."""
    longest = _NAME_MAX - len(QUOTED_PREFIX)
    if len(name) > longest:
        raise LayerError(
            f"the layer deletes a name of {len(name)} bytes; ostree's name for a whiteout leaves"
            f" {longest}",
            hint="the layer below has to give the file a shorter name, or this one to keep it",
        )


def check_xattrs(xattrs: Xattrs) -> None:
    """Raise LayerError if ext4 could not hold the xattrs, each by itself or all in the one xattr of
    a bare-user repo."""
    # ext4 has a number in the place of the name's class, such as `user.`.
    names = [name.partition(b".")[2] for name, _ in xattrs]
    apart = sum(_XATTR_ENTRY + _padded(len(name)) for name in names)
    apart += sum(_padded(len(value)) for _, value in xattrs)
    as_one = array([members(string(name), value) for name, value in xattrs])
    together = _XATTR_ENTRY + _padded(len("ostreemeta")) + _padded(12 + len(as_one))
    if max(apart, together) > _XATTR_BLOCK:
        raise LayerError(
            f"xattrs of {sum(len(name) + len(value) for name, value in xattrs)} bytes; ext4 holds"
            f" less than {_XATTR_BLOCK}",
            hint="no device with ext4 could have this file",
        )


def _padded(size: int) -> int:
    return size + -size % 4
