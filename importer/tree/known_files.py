"""Cache the checksums of a tree's files, so that unchanged files are neither read nor hashed.

A file is unchanged if its device, inode, size, mtime and ctime are: ctime changes with content,
mode, owner and xattrs, and no program can set it (inode(7)). A record also has the mode, owner
and label with which the file was stored, so that other options miss the cache. The cache is a file
in the repo, below `tmp/cache`, which ostree leaves alone (ostree-repo-commit.c, `cleanup_tmpdir`).

Format: a magic line, then 137 bytes a file: the file's lstat(2) fields, the mode and owner of its
object, a hash of its SELinux label, and 32 bytes of the object's checksum; at the end the SHA-256
of all before. Numbers are in native byte order, since a cache is used on one machine only.
"""

from __future__ import annotations

import time
from hashlib import blake2b, sha256
from struct import Struct
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.atomic import new_file
from importer.tree.file_batch import seen

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from importer.tree.file_batch import Seen, TreeFile
    from layers.ondisk.commit_filter import Bits

_MAGIC = b"import-tree files 1\n"
# Device, inode, size; mtime, ctime; mode, uid, gid; the bits of the object; whether with xattrs.
_FIELDS = Struct("=3Q2q3Q3Q?")
_LABEL, _SUM = 16, 32
_NO_LABEL = bytes(_LABEL)
_KEY = _FIELDS.size + _LABEL
# Two changes within the clock's granularity have the same ctime, so a file that changed just
# before it was read may change again without notice: git's "racily clean" entries.
_SETTLED = 2_000_000_000  # nanoseconds


class KnownFiles:
    """The cache of one tree's files. `save` keeps only those that `find` or `add` had this run."""

    def __init__(self, path: Path | None, *, keep_xattrs: bool) -> None:
        """Load the cache from `path`; None stands for --no-cache: nothing is loaded or saved.

        `keep_xattrs` tells whether the objects have the files' own xattrs.
        """
        self._path = path
        self._keep_xattrs = keep_xattrs
        self._known = _load(path) if path is not None else {}
        self._current: dict[bytes, bytes] = {}

    def find(
        self, status: os.stat_result, bits: Bits, label: bytes | None, has: Callable[[str], bool]
    ) -> str | None:
        """Return the checksum of a file's object with these bits and label, and keep its record.

        Return None if the file is unknown, or if `has` tells that the repo lacks the object.
        """
        if not self._known:
            return None
        key = self._key(seen(status), bits, label)
        value = self._known.get(key)
        if value is None or not has(checksum := value.hex()):
            return None
        self._current[key] = value
        return checksum

    def add(self, file: TreeFile, checksum: str) -> None:
        """Note a file's object, unless the file changed in the last two seconds."""
        if self._path is None:
            return
        if time.time_ns() - max(file.seen.mtime, file.seen.ctime) > _SETTLED:
            self._current[self._key(file.seen, file.bits, file.label)] = bytes.fromhex(checksum)

    def _key(self, found: Seen, bits: Bits, label: bytes | None) -> bytes:
        hashed = blake2b(label, digest_size=_LABEL).digest() if label else _NO_LABEL
        return _FIELDS.pack(*found, *bits, self._keep_xattrs) + hashed

    def save(self) -> None:
        """Replace the cache by one with the files of this run only."""
        if self._path is None or self._current == self._known:
            return
        body = b"".join([_MAGIC, *(key + value for key, value in self._current.items())])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(self._path.parent) as new:
                new.file.write(body + sha256(body).digest())
                new.replace(self._path)
        except OSError as error:
            raise ImporterError(
                f"writing the cache {self._path}: {error.strerror}",
                hint="--no-cache works without it",
            ) from error


def _load(path: Path) -> dict[bytes, bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ImporterError(
            f"reading the cache {path}: {error.strerror}", hint="--no-cache works without it"
        ) from error
    body, digest = data[:-_SUM], data[-_SUM:]
    size = _KEY + _SUM
    if not body.startswith(_MAGIC) or sha256(body).digest() != digest:
        raise ImporterError(
            f"the cache {path} is damaged", hint="remove it, or use --no-cache; it is made anew"
        )
    start = len(_MAGIC)
    return {
        body[at : at + _KEY]: body[at + _KEY : at + size]
        for at in range(start, len(body) - size + 1, size)
    }


def cache_path(repo: Path, root: bytes) -> Path:
    """Return where the cache of a tree is kept, by the tree's absolute path."""
    return repo / "tmp/cache/import-tree" / sha256(root).hexdigest()
