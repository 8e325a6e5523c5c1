"""Cache the checksums of a tree's files, so that unchanged files are neither read nor hashed.

A file is unchanged if its file system, inode, size, mtime and ctime are: ctime changes with
content, mode, owner and xattrs, and no program can set it (inode(7)). Files on file systems where
somebody else could (importer/tree/file_systems.py) are not in the cache. A record also has the
mode, owner and label with which the file was stored, so that other options miss the cache. The
cache is a file in the repo, below `tmp/cache`, which ostree leaves alone (ostree-repo-commit.c,
`cleanup_tmpdir`); importer/tree/cache_file.py has its format.
"""

from __future__ import annotations

import time
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING

from importer.tree.cache_file import LABEL_SIZE, NO_LABEL, CacheFile, pack_state
from importer.tree.file_batch import seen
from importer.tree.file_systems import FileSystems

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from importer.tree.cache_file import CachedDirectory
    from importer.tree.file_batch import Seen, TreeFile
    from layers.ondisk.commit_filter import Bits

# Two changes within the clock's granularity have the same ctime, so a file that changed just
# before it was read may change again without notice: git's "racily clean" entries.
_SETTLED = 2_000_000_000  # nanoseconds


class KnownFiles:
    """The cache of one tree's files. `save` keeps only the files that this run passed to `add` or
    `keep`, or got from `find`."""

    def __init__(self, path: Path | None, *, keep_xattrs: bool) -> None:
        """Load the cache from `path`; None stands for --no-cache: nothing is loaded or saved.

        `keep_xattrs` tells whether the objects have the files' own xattrs.
        """
        self._file = CacheFile(path) if path is not None else None
        self._keep_xattrs = keep_xattrs
        self.file_systems = FileSystems()
        self._known: dict[bytes, bytes] | None = None
        self._current: dict[bytes, bytes] = {}
        self._taken: set[bytes] = set()
        self._kept: list[CachedDirectory] = []

    @property
    def is_kept(self) -> bool:
        """Return whether there is a cache at all."""
        return self._file is not None

    def find(
        self, status: os.stat_result, bits: Bits, label: bytes | None, has: Callable[[str], bool]
    ) -> str | None:
        """Return the checksum of a file's object with these bits and label, and keep its record.

        Return None if the file is unknown, or if `has` tells that the repo lacks the object.
        """
        if self._file is None or status.st_ctime_ns > self._file.saved:
            return None  # it has changed since
        if self._known is None:
            self._known = self._file.files()
        key = self.key(seen(status), bits, label)
        value = self._known.get(key) if key is not None else None
        if key is None or value is None or not has(checksum := value.hex()):
            return None
        self._current[key] = value
        return checksum

    def add(self, file: TreeFile, checksum: str) -> None:
        """Note a file's object, unless the file changed in the last two seconds."""
        if self._file is None:
            return
        key = self.key(file.seen, file.bits, file.label)
        if key is not None and is_settled(file.seen.mtime, file.seen.ctime):
            self._current[key] = bytes.fromhex(checksum)

    def key(self, state: Seen, bits: Bits, label: bytes | None = None) -> bytes | None:
        """Return the cache's key: the file's identity and state, and the options for its object.

        Return None for a file that the cache is not for.
        """
        file_system = self.file_systems.identity(state.device)
        if file_system is None:
            return None
        hashed = blake2b(label, digest_size=LABEL_SIZE).digest() if label else NO_LABEL
        return pack_state(file_system, *state[1:], *bits, self._keep_xattrs) + hashed

    def directory(self, key: bytes) -> CachedDirectory | None:
        return self._file.directories.get(key) if self._file is not None else None

    def keep(self, directory: CachedDirectory) -> None:
        """Keep a directory and its files as they are in the cache."""
        self._kept.append(directory)

    def note(self, key: bytes, checksum: bytes) -> None:
        """Keep a file's record unchanged."""
        self._current[key] = checksum

    def taken(self, keys: Sequence[bytes]) -> bytes | None:
        """Return the checksums of a directory's files, joined, for `keep`. Return None if this run
        did not keep one of the files."""
        sums = [self._current.get(key, b"") for key in keys]
        if not all(sums):
            return None
        self._taken.update(keys)
        return b"".join(sums)

    def save(self) -> None:
        """Replace the cache by one with the files of this run only."""
        if self._file is not None:
            single = {k: v for k, v in self._current.items() if k not in self._taken}
            self._file.save(self._kept, single)


def is_settled(mtime: int, ctime: int) -> bool:
    """Return whether a file with these times, in nanoseconds, did not change just before."""
    return time.time_ns() - max(mtime, ctime) > _SETTLED


def cache_path(repo: Path, root: bytes) -> Path:
    """Return where the cache of a tree is kept, by the tree's absolute path."""
    return repo / "tmp/cache/import-tree" / sha256(root).hexdigest()
