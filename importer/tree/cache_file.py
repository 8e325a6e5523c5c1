"""The file in which the cache of a tree is kept; see importer/tree/known_files.py.

Format: a magic line; the numbers of directories and of single files; the directories; the single
files; the SHA-256 of all before. Numbers are in native byte order, since a cache is used on one
machine only.

A file takes 137 bytes: its key, and its object's checksum. The key has a number for the file
system, the fields of lstat(2), the mode and owner of the object, whether the object has xattrs, and
a hash of its SELinux label. A
directory that is cached as a whole has the length of its names and the number of its files, 4 bytes
each; its own key; the checksums of its dirtree and dirmeta; a hash of the sub-directories'
checksums; its names; its files' keys; its files' checksums.
"""

from __future__ import annotations

import os
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from importer.errors import ImporterError, os_faults
from importer.files.atomic import new_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_FAMILY = b"import-tree files "
_MAGIC = _FAMILY + b"3\n"
# File system, inode, size; mtime, ctime; mode, uid, gid; the object's bits; whether with xattrs.
_FIELDS = Struct("=3Q2q3Q3Q?")
_NUMBERS = Struct("=2Q")
_SIZES = Struct("=2I")
LABEL_SIZE, SUM_SIZE, BELOW_SIZE = 16, 32, 16
NO_LABEL = bytes(LABEL_SIZE)
KEY_SIZE = _FIELDS.size + LABEL_SIZE
_DIRECTORY = Struct(f"={KEY_SIZE}s{2 * SUM_SIZE}s{BELOW_SIZE}s")
_WITHOUT = "--no-cache works without it"
pack_state = _FIELDS.pack


class CachedDirectory(NamedTuple):
    """A directory of the cache.

    The directory itself is unchanged if its `key`, its `names` and the keys of its `files` are;
    `sums` are the checksums of the files' objects. Its dirtree and dirmeta, whose checksums are
    `made`, are the same as well if `below` is, the hash of its sub-directories' checksums.
    """

    key: bytes
    made: bytes
    below: bytes
    names: bytes
    files: bytes
    sums: bytes

    def pairs(self) -> Iterable[tuple[bytes, bytes]]:
        """Return the key and the checksum of each file."""
        keys, sums = self.files, self.sums
        return zip(
            [keys[at : at + KEY_SIZE] for at in range(0, len(keys), KEY_SIZE)],
            [sums[at : at + SUM_SIZE] for at in range(0, len(sums), SUM_SIZE)],
            strict=True,
        )


class CacheFile:
    """A cache as it was loaded; `directories` are by their keys.

    `saved` is the time in nanoseconds at which the cache was saved. A file with a later ctime has
    changed since then, and so is not in the cache.
    """

    def __init__(self, path: Path) -> None:
        """Load the cache. Raise ImporterError if it cannot be read or is damaged."""
        self._path = path
        self.directories: dict[bytes, CachedDirectory] = {}
        self._single = b""
        self._body, self.saved = _load(path)
        if self._body:
            self._parse()

    def _parse(self) -> None:
        body, at = self._body, len(_MAGIC)
        count, _ = _NUMBERS.unpack_from(body, at)
        at += _NUMBERS.size
        for _ in range(count):
            names_size, files = _SIZES.unpack_from(body, at)
            at += _SIZES.size
            key, made, below = _DIRECTORY.unpack_from(body, at)
            names = at + _DIRECTORY.size
            keys = names + names_size
            sums = keys + files * KEY_SIZE
            at = sums + files * SUM_SIZE
            self.directories[key] = CachedDirectory(
                key, made, below, body[names:keys], body[keys:sums], body[sums:at]
            )
        self._single = body[at:]

    def files(self) -> dict[bytes, bytes]:
        """Return the checksums of all files by their keys."""
        size = KEY_SIZE + SUM_SIZE
        files = {
            self._single[at : at + KEY_SIZE]: self._single[at + KEY_SIZE : at + size]
            for at in range(0, len(self._single), size)
        }
        for directory in self.directories.values():
            files.update(directory.pairs())
        return files

    def save(self, directories: Sequence[CachedDirectory], single: Mapping[bytes, bytes]) -> None:
        """Replace the cache's content, unless it is the same already. Raise ImporterError if the
        file cannot be written."""
        parts = [_MAGIC, _NUMBERS.pack(len(directories), len(single))]
        for directory in sorted(directories):
            parts.append(_SIZES.pack(len(directory.names), len(directory.sums) // SUM_SIZE))
            parts += directory
        parts += (key + value for key, value in sorted(single.items()))
        body = b"".join(parts)
        if body == self._body or not (directories or single or self._body):
            return
        with os_faults(f"writing the cache {self._path}", _WITHOUT):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(self._path.parent) as new:
                new.file.write(body + sha256(body).digest())
                new.replace(self._path)


def _load(path: Path) -> tuple[bytes, int]:
    """Return the cache without its checksum, and when it was saved; nothing if there is none, or
    one of another format."""
    with os_faults(f"reading the cache {path}", _WITHOUT):
        try:
            with path.open("rb") as file:
                data, saved = file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return b"", 0
    body, digest = data[:-SUM_SIZE], data[-SUM_SIZE:]
    if not body.startswith(_FAMILY) or sha256(body).digest() != digest:
        raise ImporterError(
            f"the cache {path} is damaged", hint="remove it, or use --no-cache; it is made anew"
        )
    return (body, saved) if body.startswith(_MAGIC) else (b"", 0)
