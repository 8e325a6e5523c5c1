"""Read an entry's kind and owner from its tar header and the extended headers before it.

Format: POSIX pax(1), "ustar Interchange Format" and "pax Extended Header".
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from layers.entry import Kind, Owner
from layers.errors import LayerError, printable

if TYPE_CHECKING:
    from layers.tar.header import Header
    from layers.tar.pax import Pax, Records

# (uid_t) -1 means "leave it" to chown(2), so it cannot be an owner.
_MAX_ID = 2**32 - 2
_FILE_FLAGS = (b"0", b"7", b"S")
_KINDS = {kind.value: kind for kind in Kind}


def kind_of(header: Header, path: bytes) -> Kind:
    """Return what the entry makes. Raise LayerError if its type is not known."""
    if header.typeflag == b"\0":  # v7 had no flag for directories, but ended their names in "/"
        return Kind.DIRECTORY if path.endswith(b"/") else Kind.FILE
    if header.typeflag in _FILE_FLAGS:
        return Kind.FILE
    kind = _KINDS.get(header.typeflag)
    if kind is None:
        raise LayerError(f"tar entry type {header.typeflag!r} is not known")
    return kind


# What a global header would change in every later entry.
_MEANINGFUL = (b"path", b"linkpath", b"size", b"uid", b"gid", b"SCHILY.xattr.", b"GNU.sparse.")


def check_global(records: Records) -> None:
    """Raise LayerError if a global header changes every later entry: GNU tar obeys it, podman does
    not. Most global headers only have a `comment`."""
    for key, _ in records:
        if key.startswith(_MEANINGFUL):
            raise LayerError(f"global PAX header sets {printable(key)} for all entries")


def owner_of(header: Header, pax: Pax) -> Owner:
    """Return the entry's owner; the extended header's ids come before the block's. Raise LayerError
    if Linux can have no such owner."""
    uid, gid = pax.number(b"uid", header.uid), pax.number(b"gid", header.gid)
    return plain_owner(header.mode, uid, gid)._replace(xattrs=pax.xattrs())


@lru_cache(maxsize=4096)
def plain_owner(mode: int, uid: int, gid: int) -> Owner:
    """Return the owner that a header alone gives. Raise LayerError as `owner_of` does."""
    if mode < 0:
        raise LayerError(f"file mode {mode}")
    if not 0 <= uid <= _MAX_ID or not 0 <= gid <= _MAX_ID:
        raise LayerError(f"owner {uid}:{gid} is none that Linux can have")
    # Some writers put the file type's bits into the mode as well; tar has its own flag for it.
    return Owner(mode & 0o7777, uid, gid)
