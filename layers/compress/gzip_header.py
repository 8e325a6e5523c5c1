"""Find the end of a gzip member's header: RFC 1952, 2.3."""

from __future__ import annotations

_FIXED = 10
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16


def has_whole_header(data: bytes) -> bool:
    """Return whether the gzip member at the start of `data` has its whole header in `data`."""
    if len(data) < _FIXED:
        return False
    flags, at = data[3], _FIXED
    if flags & _FEXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for text in (_FNAME, _FCOMMENT):
        if flags & text:
            end = data.find(b"\0", at)
            if end < 0:
                return False
            at = end + 1
    return at + (2 if flags & _FHCRC else 0) <= len(data)
