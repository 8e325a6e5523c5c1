"""Judge POSIX ACLs as the kernel does when they are set as an xattr.

Source: include/uapi/linux/posix_acl_xattr.h, and fs/posix_acl.c, `posix_acl_valid`.
"""

from __future__ import annotations

import re
import struct

_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")  # tag, permissions, id
_USER, _GROUP, _MASK = 0x02, 0x08, 0x10
# The owner, users, the group, groups, the mask, all others: in this order.
_TAGS = re.compile(rb"\x01\x02*\x04\x08*\x10?\x20")


def is_settable(value: bytes) -> bool:
    """Return whether the xattr's value is an ACL that Linux would set."""
    body = value[4:]
    if value[:4] != _VERSION or len(body) % _ENTRY.size:
        return False
    entries = list(_ENTRY.iter_unpack(body))
    tags = [tag for tag, _, _ in entries]
    named = _USER in tags or _GROUP in tags
    return (
        max(tags, default=256) < 256
        and _TAGS.fullmatch(bytes(tags)) is not None
        and (_MASK in tags or not named)
        and all(permissions <= 7 for _, permissions, _ in entries)
        and all(who != 2**32 - 1 for tag, _, who in entries if tag in (_USER, _GROUP))
    )


def says_what_the_mode_does(value: bytes) -> bool:
    """Return whether a settable ACL only has entries for the owner, the group and others."""
    return len(value) == len(_VERSION) + 3 * _ENTRY.size
