"""A commit object that says nothing but its tree: it carries files from one repo to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layers.ostree.objects import Stored

# Subject and body are empty strings; the time, 1970, is a 64-bit number aligned to 8 bytes.
_EMPTY = b"\0\0" + bytes(6) + bytes(8)
# Where the members of variable size end, in bytes, the last one first: contents, body, subject,
# related objects, parent, metadata.
_ENDS = bytes((len(_EMPTY) + 32, 2, 1, 0, 0, 0))


def bare_commit(root: Stored) -> bytes:
    """Return the commit of this root directory: `OSTREE_COMMIT_GVARIANT_FORMAT`,
    `(a{sv}aya(say)sstayay)`, without metadata, parent, related objects, subject and body."""
    return _EMPTY + bytes.fromhex(root.contents) + bytes.fromhex(root.meta) + _ENDS
