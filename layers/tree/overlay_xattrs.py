"""Read the xattrs that overlayfs and fuse-overlayfs set in a layer's directory.

Sources: the kernel's Documentation/filesystems/overlayfs.rst ("Whiteouts and opaque directories",
"redirect_dir", "Metadata only copy up"; whiteouts as xattrs since Linux 6.7, fs/overlayfs/util.c,
ovl_path_check_xwhiteout_xattr); fuse-overlayfs, main.c; and containers-storage, pkg/idtools, for
`user.containers.override_stat`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layers.entry import Kind, Owner
from layers.errors import LayerError

if TYPE_CHECKING:
    from layers.entry import Xattrs
    from layers.path import Path

# Written by root, by a mount with the option `userxattr`, and by fuse-overlayfs.
TRUSTED, USER = b"trusted.overlay.", b"user.overlay."
_NAMESPACES = (TRUSTED, USER, b"user.fuseoverlayfs.")
OPAQUE_XATTRS = tuple(namespace + b"opaque" for namespace in _NAMESPACES)
# Only root's mounts have it: a mount with `userxattr` cannot have metacopy (overlayfs.rst).
_METACOPY, _REDIRECT = TRUSTED + b"metacopy", TRUSTED + b"redirect"
_OVERRIDE = b"user.containers.override_stat"
# uid:gid:mode[:type[-major-minor]]; the mode is octal, in some versions with the type's bits.
_STAT = re.compile(rb"(\d{1,10}):(\d{1,10}):([0-7]{1,7})(?::([a-z]+)(?:-(\d{1,7})-(\d{1,7}))?)?")
_MAX_ID = 2**32 - 2  # chown(2) takes the one above for "as it is"
_KINDS = {
    None: None,  # as it is
    b"file": Kind.FILE,
    b"dir": Kind.DIRECTORY,
    b"symlink": Kind.SYMLINK,
    b"pipe": Kind.FIFO,
    b"block": Kind.BLOCK,
    b"char": Kind.CHAR,
}


def opaque_by(xattrs: Xattrs) -> list[bytes]:
    """Return the namespaces whose xattr makes a directory opaque: with the value `y`."""
    return [namespace for namespace in _NAMESPACES if (namespace + b"opaque", b"y") in xattrs]


def is_opaque(xattrs: Xattrs) -> bool:
    return bool(opaque_by(xattrs))


def whiteout_by(xattrs: Xattrs) -> list[bytes]:
    """Return the namespaces whose xattr, of any value, makes an empty file a whiteout."""
    names = {name for name, _ in xattrs}
    return [namespace for namespace in _NAMESPACES if namespace + b"whiteout" in names]


def is_metacopy(xattrs: Xattrs) -> bool:
    """Return whether a file's data is in a lower layer. The value is empty, or with `verity` the
    data's digest."""
    return any(name == _METACOPY for name, _ in xattrs)


def redirected(path: Path, xattrs: Xattrs) -> Path:
    """Return the path at which lower layers have the data of the file at `path`. Raise LayerError
    if its redirect is malformed."""
    value = dict(xattrs).get(_REDIRECT)
    if value is None:
        return path
    names = tuple(value.removeprefix(b"/").split(b"/"))
    absolute = value.startswith(b"/")
    if any(name in (b"", b".", b"..") for name in names) or not (absolute or len(names) == 1):
        raise LayerError(f"{_REDIRECT.decode()} is {value[:60]!r}")
    return names if absolute else (*path[:-1], *names)


def without_metacopy(xattrs: Xattrs) -> Xattrs:
    """Return the xattrs of a file to which its data was added."""
    return tuple(pair for pair in xattrs if pair[0] not in (_METACOPY, _REDIRECT))


def fill_xattrs(xattrs: Xattrs) -> Xattrs:
    """Return the xattrs of a metacopy file that are lost when its data is written: overlayfs's,
    and a capability (capabilities(7))."""
    names = (_METACOPY, _REDIRECT, b"security.capability")
    return tuple(pair for pair in xattrs if pair[0] in names)


def check_complete(xattrs: Xattrs, *, directory: bool) -> None:
    """Raise LayerError for a file or directory whose content is in a directory of another layer."""
    mark = b"redirect" if directory else b"metacopy"
    names = [namespace + mark for namespace in _NAMESPACES]
    if any(name in names for name, _ in xattrs):
        raise LayerError(
            f"the layer's directory uses overlayfs's {mark.decode()}, so its content is not"
            " all there",
            hint="a container wrote this layer: commit the container, or pull the image again,"
            " without metacopy=on and redirect_dir=on",
        )


def without_opaque(xattrs: Xattrs, value: bytes) -> Xattrs:
    """Return the xattrs without those that make a directory opaque by this value."""
    return tuple(pair for pair in xattrs if not (pair[0] in OPAQUE_XATTRS and pair[1] == value))


def without_marks(xattrs: Xattrs) -> Xattrs:
    """Return the file's own xattrs, without overlayfs's."""
    return tuple(x for x in xattrs if x[0] != _OVERRIDE and not x[0].startswith(_NAMESPACES))


def overridden(
    owner: Owner, kind: Kind, device: tuple[int, int]
) -> tuple[Owner, Kind, tuple[int, int]]:
    """Return owner, kind and device as fuse-overlayfs or a `force_mask` store keeps them.

    Where files cannot be given to other users, an xattr holds the owner. Raise LayerError if the
    xattr is malformed.
    """
    value = dict(owner.xattrs).get(_OVERRIDE)
    if value is None:
        return owner, kind, device
    match = _STAT.fullmatch(value)
    if match is None or max(int(match[1]), int(match[2])) > _MAX_ID or match[4] not in _KINDS:
        raise LayerError(f"{_OVERRIDE.decode()} is {value[:60]!r}")
    uid, gid, mode, name, major, minor = match.groups()
    owner = owner._replace(mode=int(mode, 8) & 0o7777, uid=int(uid), gid=int(gid))
    return owner, _KINDS[name] or kind, (int(major or device[0]), int(minor or device[1]))
