"""Read a repo's files without libostree, which takes longer to load than they take to be read.

The files are a documented, stable format (ostree's manual, "Anatomy of an OSTree repository").
libostree answers, or raises the error, for an object that is absent here, and for a file that it
would not write so: objects of a parent repo, refs that are symlinks, metadata that is not text,
damaged objects, a lock that another program holds, repos of other modes.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import zlib
from contextlib import contextmanager, suppress
from hashlib import sha256
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Self

from importer.files.descriptors import held
from layers.ostree.objects import read_commit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.repo.values import ObjectKind
    from layers.ostree.objects import CommitObject

# `ostree init` writes the older name of archive.
_MODES = {"archive-z2": "archive", "archive": "archive", "bare-user": "bare-user"}
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_CHECKSUM = re.compile(rb"([0-9a-f]{64})\n")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# A file's xattr in a bare-user repo, `(uuua(ayay))`: owner, group, mode, xattrs.
_META = "user.ostreemeta"
# Bytes of the largest file that is read here.
_LARGEST = 16 << 20
# struct flock of fcntl_locking(2): type, whence, start, length, process.
_LOCK = struct.Struct("hhqqi")
# Before an archived file's content: the header's size, and in the header the size of the content,
# owner, group and mode; see layers/ostree/objects.py.
_ARCHIVED = struct.Struct(">I4xQ8xI")


class PlainRepo:
    """The files of a repo. A method returns None for a question that only libostree can answer."""

    def __init__(self, path: Path, mode: str) -> None:
        self.mode = mode
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self | None:
        try:
            core = _core((path / "config").read_text())
            places = [(path / name).stat() for name in ("objects", "tmp", "refs/heads")]
        except (OSError, ValueError):
            return None
        mode = _MODES.get(core.get("mode", ""))
        plain = core.get("repo_version") == "1" and core.get("locking", "true") == "true"
        whole = all(S_ISDIR(place.st_mode) for place in places)
        return cls(path, mode) if mode is not None and plain and whole else None

    def is_writable(self) -> bool:
        """Return whether this user can add objects, as libostree looks at it. Ask libostree for the
        error if not."""
        return os.access(self._path / "objects", os.W_OK)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the lock shared, and yield True; yield False if it is not free at once."""
        try:
            descriptor = os.open(self._path / ".lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            yield False
            return
        with held(descriptor):
            yield _lock(descriptor)

    def ref(self, name: str) -> str | None:
        """Return the commit of a branch, "" if there is no such branch."""
        if not _REF.fullmatch(name):
            return None
        data = self._read(f"refs/heads/{name}")
        if data is None and self._is_absent(f"refs/heads/{name}"):
            return ""
        checksum = _CHECKSUM.fullmatch(data or b"")
        return checksum[1].decode() if checksum else None

    def commit(self, checksum: str) -> CommitObject | None:
        """Return a commit that was not pulled in part only."""
        data = self.metadata("commit", checksum)
        if data is None or os.path.lexists(self._path / f"state/{checksum}.commitpartial"):
            return None
        with suppress(ValueError):
            return read_commit(data)
        return None

    def has(self, kind: ObjectKind, checksum: str) -> bool:
        """Return whether an object is here; a parent repo may have it."""
        return os.access(self._path / self._object(kind, checksum), os.F_OK)

    def metadata(self, kind: ObjectKind, checksum: str) -> bytes | None:
        """Return the bytes of a commit, dirtree or dirmeta object."""
        data = self._read(self._object(kind, checksum))
        return data if data is not None and sha256(data).hexdigest() == checksum else None

    def content(self, checksum: str) -> bytes | None:
        """Return the content of a file of moderate size."""
        place = self._object("file", checksum)
        if self.mode == "archive":
            return _inflated(self._read(place) or b"")
        return self._read(place, of_file=True)

    def _is_absent(self, path: str) -> bool:
        try:
            (self._path / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            pass  # libostree says why
        return False

    def _object(self, kind: ObjectKind, checksum: str) -> str:
        suffix = "filez" if kind == "file" and self.mode == "archive" else kind
        return f"objects/{checksum[:2]}/{checksum[2:]}.{suffix}"

    def _read(self, path: str, *, of_file: bool = False) -> bytes | None:
        """Return the bytes of a file of moderate size. `of_file` tells that it is a file's object,
        which records whether that is a symlink."""
        try:
            descriptor = os.open(self._path / path, _READ)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            if not S_ISREG(status.st_mode) or status.st_size > _LARGEST:
                return None
            if of_file and not S_ISREG(int.from_bytes(os.getxattr(descriptor, _META)[8:12])):
                return None
            data = os.read(descriptor, status.st_size + 1)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return data if len(data) == status.st_size else None


def _core(config: str) -> dict[str, str]:
    """Return the keys of the config's group `core`. Raise ValueError for a malformed file."""
    core: dict[str, str] = {}
    group = ""
    for line in config.splitlines():
        if line.startswith("["):
            group = line
        elif line.strip() and not line.startswith("#"):
            key, equal, value = line.partition("=")
            if not equal:
                raise ValueError(line)
            if group == "[core]":
                core[key.strip()] = value.lstrip()
    return core


def _lock(descriptor: int) -> bool:
    """Lock a repo's `.lock` shared, as ostree-repo.c, `do_repo_lock`, does. Return whether this was
    possible at once."""
    try:
        shared = _LOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, shared)
    except OSError:
        return False
    return True


def _inflated(data: bytes) -> bytes | None:
    """Return the content of an archived file, None for a symlink or a damaged object."""
    if len(data) < _ARCHIVED.size:
        return None
    header, size, mode = _ARCHIVED.unpack_from(data)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    if not S_ISREG(mode) or size > _LARGEST:
        return None
    try:
        content = inflate.decompress(data[8 + header :], size + 1)
    except zlib.error:
        return None
    return content if inflate.eof and len(content) == size else None
