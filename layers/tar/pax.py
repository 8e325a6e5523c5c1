r"""Read PAX extended headers: `LENGTH KEY=VALUE\n` records. Source: POSIX pax(1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layers.errors import LayerError, printable

if TYPE_CHECKING:
    from layers.entry import Xattrs

type Records = tuple[tuple[bytes, bytes], ...]

_LENGTH = re.compile(rb"([0-9]{1,10}) ")
_DECIMAL = re.compile(rb"0*[0-9]{1,19}")
_XATTR = b"SCHILY.xattr."
# Keys of a global header that change every later entry.
_MEANINGFUL = (b"path", b"linkpath", b"size", b"uid", b"gid", _XATTR, b"GNU.sparse.")
# Linux: XATTR_NAME_MAX and XATTR_SIZE_MAX, include/uapi/linux/limits.h.
_XATTR_NAME_MAX = 255
_XATTR_SIZE_MAX = 65536


def parse_records(data: bytes) -> Records:
    """Return the records in their order. Raise LayerError if one is malformed."""
    records, at = [], 0
    while at < len(data):
        match = _LENGTH.match(data, at)
        end = at + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise LayerError("PAX header record is malformed")
        key, equals, value = data[match.end() : end - 1].partition(b"=")
        if not key or not equals:
            raise LayerError("PAX header record is not KEY=VALUE")
        records.append((key, value))
        at = end
    return tuple(records)


def check_global(records: Records) -> None:
    """Raise LayerError if a global header changes every later entry: GNU tar obeys it, podman does
    not. Most global headers only have a `comment`."""
    for key, _ in records:
        if key.startswith(_MEANINGFUL):
            raise LayerError(f"global PAX header sets {printable(key)} for all entries")


class Pax:
    """The records for the next entry; the last record of a key wins.

    An empty value revokes the key, so that the header block's own field counts.
    """

    def __init__(self, records: Records = ()) -> None:
        self.records = records
        self._values = dict(records)
        self.sparse = any(key.startswith(b"GNU.sparse.") for key in self._values)

    def text(self, key: bytes, default: bytes) -> bytes:
        """Return a path. Raise LayerError if it contains a NUL, which no kernel would accept."""
        value = self._values.get(key) or default
        if b"\0" in value:
            raise LayerError(f"PAX {key.decode()} has a NUL in it")
        return value

    def number(self, key: bytes, default: int) -> int:
        """Return a decimal number of at most 63 bits. Raise LayerError if the value is none."""
        value = self._values.get(key)
        if not value:
            return default
        if not _DECIMAL.fullmatch(value) or int(value) >= 2**63:
            raise LayerError(f"PAX {key.decode()} is not a number: {value[:40]!r}")
        return int(value)

    def has(self, key: bytes) -> bool:
        """Return whether the key has a record that is not empty."""
        return bool(self._values.get(key))

    def value(self, key: bytes) -> bytes:
        """Return the record's value, empty where there is no record."""
        return self._values.get(key, b"")

    def xattrs(self) -> Xattrs:
        """Return the extended attributes, sorted by name: star's `SCHILY.xattr.NAME`, as Go reads
        them.

        An xattr may be empty, so here an empty value does not revoke the key. Raise LayerError if a
        name or a value is longer than Linux allows.
        """
        xattrs = sorted(
            (key[len(_XATTR) :], value)
            for key, value in self._values.items()
            if key.startswith(_XATTR)
        )
        for name, value in xattrs:
            if not 0 < len(name) <= _XATTR_NAME_MAX or b"\0" in name:
                raise LayerError(f"xattr name of {len(name)} bytes, or with a NUL in it")
            if len(value) > _XATTR_SIZE_MAX:
                raise LayerError(f"xattr of {len(value)} bytes; Linux has {_XATTR_SIZE_MAX}")
        return tuple(xattrs)
