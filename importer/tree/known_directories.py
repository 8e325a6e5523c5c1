"""Find directories that have not changed since the cache was saved. Their files are not looked at
one by one, and their objects are not written again.

A directory's own names and files can be unchanged while one of its sub-directories has changed. So
the walk visits only the sub-directories of such a directory. After the walk, `resolve` goes from
the deepest directories upwards. If all sub-directories are as in the cache, the directory's cached
objects are used. If not, its files are put into the tree with the cached checksums.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from importer.tree.cache_file import BELOW_SIZE, NO_LABEL, SUM_SIZE, CachedDirectory, pack_state
from importer.tree.known_files import is_settled
from layers.ostree.objects import Stored
from layers.tree.node import Directory, Leaf

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from importer.tree.known_files import KnownFiles
    from importer.tree.store_files import FileStore
    from layers.path import Path

    type Entries = Sequence[tuple[bytes, os.stat_result]]

_BITS = 0o7777


class _Own(NamedTuple):
    """A directory without its sub-directories: its key, its names, and the keys of its files."""

    key: bytes
    names: bytes
    files: list[bytes]
    settled: bool


class _Same(NamedTuple):
    """A directory of the walk, and the cached one that has the same names and files."""

    path: Path
    node: Directory
    own: _Own
    cached: CachedDirectory


@dataclass(slots=True)
class KnownDirectories:
    """The unchanged directories of one walk, whose options change or leave out no file."""

    _cache: KnownFiles
    _files: FileStore
    _keep_xattrs: bool
    _same: list[_Same] = field(default_factory=list)
    _new: list[tuple[Path, Directory, _Own]] = field(default_factory=list)
    _kept: dict[Path, Stored] = field(default_factory=dict)
    _own: _Own | None = None

    def find(self, path: Path, node: Directory, status: os.stat_result, entries: Entries) -> bool:
        """Return whether the directory's names and files are as in the cache, and the repo has the
        files' objects, so that the walk can skip the files."""
        own = self._own = self._described(status, entries)
        cached = self._cache.directory(own.key) if own is not None else None
        if (
            own is None
            or cached is None
            or cached.names != own.names
            or cached.files != b"".join(own.files)
            or not self._files.has_files(cached.sums)
        ):
            return False
        self._same.append(_Same(path, node, own, cached))
        return True

    def note(self, path: Path, node: Directory) -> None:
        """Note for the cache the directory that `find` was last called for. Its entries have to be
        plain files, symlinks and directories."""
        if self._own is not None and self._own.settled:
            self._new.append((path, node, self._own))

    def resolve(self, directories: Mapping[Path, Directory]) -> list[Path]:
        """Put each directory that is unchanged with everything below it into its parent, by the
        checksums of its objects.

        Return the paths of the other directories for which `find` returned True, always with the
        root. Their files are then in the tree, but their owners are not set.
        """
        changed = []
        for path, node, own, cached in reversed(self._same):
            stored = Stored(cached.made[:SUM_SIZE].hex(), cached.made[SUM_SIZE:].hex())
            same = _below(node, path, self._kept) == cached.below
            if path and same and self._files.has_directory(stored):
                directories[path[:-1]].entries[path[-1]] = self._kept[path] = stored
                self._cache.keep(cached)
                continue
            for name, (key, checksum) in zip(_files(own), cached.pairs(), strict=True):
                node.entries[name] = Leaf(checksum.hex())
                self._cache.note(key, checksum)
            self._new.append((path, node, own))
            changed.append(path)
        return changed

    def save(self, written: Mapping[Path, Stored]) -> None:
        """Add the noted directories to the cache. `written` has the objects of the walk's
        directories, by path."""
        made = {**self._kept, **written}
        for path, node, own in self._new:
            below, stored = _below(node, path, made), made.get(path)
            sums = self._cache.taken(own.files) if stored is not None and below else None
            if stored is not None and sums is not None:
                objects = bytes.fromhex(stored.contents + stored.meta)
                files = b"".join(own.files)
                self._cache.keep(CachedDirectory(own.key, objects, below, own.names, files, sums))

    def _described(self, status: os.stat_result, entries: Entries) -> _Own | None:
        """Return the directory's own part, None if the cache is not for its file system, or files
        of another are mounted in it."""
        keep, files, names, below = self._keep_xattrs, [], [], []
        file_system = self._cache.file_systems.identity(status.st_dev)
        if file_system is None:
            return None
        for name, entry in entries:
            if stat.S_ISDIR(entry.st_mode):
                below.append(name)
            elif entry.st_dev != status.st_dev:
                return None
            else:
                names.append(name)
                files.append(_key(entry, file_system, keep))
        joined = b"\0".join(names) + b"\0/" + b"\0".join(below)
        settled = is_settled(status.st_mtime_ns, status.st_ctime_ns)
        return _Own(_key(status, file_system, keep), joined, files, settled)


def _key(status: os.stat_result, file_system: int, keep_xattrs: bool) -> bytes:
    """Return the file's key, as `KnownFiles.key` makes it for a file that no option changes."""
    mode, uid, gid = status.st_mode, status.st_uid, status.st_gid
    return (
        pack_state(
            file_system, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
            mode, uid, gid, mode & _BITS, uid, gid, keep_xattrs,
        )
        + NO_LABEL
    )  # fmt: skip


def _files(own: _Own) -> list[bytes]:
    names = own.names.partition(b"\0/")[0]
    return names.split(b"\0") if own.files else []


def _below(node: Directory, path: Path, made: Mapping[Path, Stored]) -> bytes:
    """Return the hash of the sub-directories' checksums, or b"" if one of them has no object."""
    hasher = blake2b(digest_size=BELOW_SIZE)
    for name in sorted(name for name, entry in node.entries.items() if not isinstance(entry, Leaf)):
        stored = made.get((*path, name))
        if stored is None:
            return b""
        hasher.update(bytes.fromhex(stored.contents + stored.meta))
    return hasher.digest()
