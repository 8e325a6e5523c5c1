"""Content objects written as libostree writes them, without its cost an object.

libostree takes fifteen system calls and two copies for a small object, and hashes a large
one at a fifth of hashlib's speed. The loose object is a documented, stable format (ostree's
manual, "Anatomy of an OSTree repository"), so here it is written directly, into a directory
of our own under the repo's `tmp`, and moved into `objects` once it is durable.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from isal import isal_zlib

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from layers.verify import Chunks

_PREFIX = "import-image-"
_READ = 1 << 20
_DEFLATE_LEVEL = 3  # isal's best; zlib's own best takes ten times as long for a few per cent


@dataclass(frozen=True, slots=True)
class Content:
    """An object to be written. `header` is what its checksum begins with; the other fields
    are what a repo of its mode stores in the header's place."""

    header: bytes
    mode: int  # with the file type's bits
    ostreemeta: bytes  # bare-user: the xattr with owner, mode and xattrs
    zheader: bytes  # archive: in front of the deflated content
    target: bytes  # a symlink's


class Format(Protocol):
    """How a repo's mode stores an object."""

    suffix: str

    def encoded(self, content: Content, size: int, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """The object file's bytes."""

    def decoded(self, file: BinaryIO) -> Chunks:
        """The content again."""

    def finish(self, descriptor: int, content: Content) -> None:
        """The object file's attributes."""


class BareUser:
    """The content as it is, mode and owner in an xattr. Source: ostree-repo-commit.c,
    `commit_loose_regfile_object`, and `OSTREE_REPO_MODE_BARE_USER` in ostree-core.h."""

    suffix = ".file"

    def encoded(self, content: Content, size: int, chunks: Iterable[bytes]) -> Iterable[bytes]:  # noqa: ARG002 - the Protocol's
        """A symlink is a file with the target and a NUL."""
        return [content.target + b"\0"] if content.target else chunks

    def decoded(self, file: BinaryIO) -> Chunks:
        """All of it."""
        while chunk := file.read(_READ):
            yield chunk

    def finish(self, descriptor: int, content: Content) -> None:
        """Readable for the owner, never setuid, and at time 0, as objects are hard-linked."""
        os.setxattr(descriptor, "user.ostreemeta", content.ostreemeta)
        os.fchmod(descriptor, 0o644 if content.target else (content.mode | 0o400) & 0o775)
        os.utime(descriptor, (0, 0))


class Archive:
    """A header, then the content deflated. Source: ostree-core.c, `_ostree_zlib_file_header_new`
    and `ostree_raw_file_to_archive_z2_stream`."""

    suffix = ".filez"

    def encoded(self, content: Content, size: int, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """The size is the header's first field, a big-endian 64-bit number."""
        prefix, fields = content.zheader[:8], content.zheader[16:]
        yield prefix + size.to_bytes(8) + fields
        if not content.target:
            yield from _deflated(chunks)

    def decoded(self, file: BinaryIO) -> Chunks:
        """What follows the header."""
        file.seek(8 + int.from_bytes(file.read(4)))
        inflate = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS)
        while chunk := file.read(_READ):
            yield inflate.decompress(chunk)

    def finish(self, descriptor: int, content: Content) -> None:  # noqa: ARG002 - the Protocol's
        """Readable for whoever serves the repo."""
        os.fchmod(descriptor, 0o644)


def _deflated(chunks: Iterable[bytes]) -> Iterable[bytes]:
    deflate = isal_zlib.compressobj(_DEFLATE_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    for chunk in chunks:
        yield deflate.compress(chunk)
    yield deflate.flush()


class LooseObjects:
    """One transaction's content objects; several threads may write at once.

    `publish` is to be called when all that was written is durable: until then the objects
    are where no reader of the repo looks.
    """

    def __init__(self, repo: Path, form: Format, budget: int) -> None:
        self._objects = repo / "objects"
        self._form = form
        self._budget = budget  # bytes that may be written before the disk counts as full
        self.written_bytes = 0
        self._written: dict[str, str] = {}
        self._threads = threading.local()
        self._lock = threading.Lock()
        _clear_abandoned(repo / "tmp")
        self._directory, self._held = _claimed(repo / "tmp")

    def write(self, content: Content, data: bytes) -> str:
        """Store content in one piece; the object's checksum."""
        checksum = sha256(content.header + data if data else content.header).hexdigest()
        if not self._has(checksum):
            path = f"{self._own()}/{checksum}"
            self._write_file(path, content, self._form.encoded(content, len(data), (data,)))
            self._written[checksum] = path
        return checksum

    def write_large(self, content: Content, size: int, chunks: Chunks) -> str:
        """Store content that comes in pieces; its checksum is known at the end."""
        hasher = sha256(content.header)
        path = f"{self._own()}/large"
        self._write_file(
            path, content, self._form.encoded(content, size, _hashed(hasher.update, chunks))
        )
        checksum = hasher.hexdigest()
        final = f"{self._own()}/{checksum}"
        Path(path).rename(final)
        self._written[checksum] = final
        return checksum

    def publish(self) -> None:
        """Move all objects to where they belong."""
        for checksum, path in self._written.items():
            place = f"{self._objects}/{checksum[:2]}"
            name = f"{place}/{checksum[2:]}{self._form.suffix}"
            try:
                os.rename(path, name)  # noqa: PTH104 - called for every object
            except FileNotFoundError:
                Path(place).mkdir(exist_ok=True)
                Path(path).rename(name)

    def close(self) -> None:
        """Remove what was not published."""
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._held)

    def has_written(self, checksum: str) -> bool:
        """Whether the object is here, and so not in the repo yet."""
        return checksum in self._written

    def read(self, checksum: str) -> Chunks:
        """The content of a file that was written here."""
        with Path(self._written[checksum]).open("rb") as file:
            yield from self._form.decoded(file)

    def _has(self, checksum: str) -> bool:
        if checksum in self._written:
            return True
        name = f"{self._objects}/{checksum[:2]}/{checksum[2:]}{self._form.suffix}"
        return os.access(name, os.F_OK)

    def _own(self) -> str:
        """This thread's directory: two threads in one would wait for each other."""
        path: str | None = getattr(self._threads, "path", None)
        if path is None:
            path = self._threads.path = tempfile.mkdtemp(dir=self._directory)
        return path

    def _write_file(self, path: str, content: Content, pieces: Iterable[bytes]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        written = 0
        try:
            for piece in pieces:
                written += _write_all(descriptor, piece)
            self._form.finish(descriptor, content)
        finally:
            os.close(descriptor)
        self._spend(written)

    def _spend(self, count: int) -> None:
        """Stop before the disk is full, where libostree would; a lock, as `-=` is not atomic."""
        with self._lock:
            self._budget -= count
            self.written_bytes += count
            if self._budget < 0:
                raise ImporterError(
                    "the disk has no more room than the repo is to leave free",
                    hint="free space, or see min-free-space-percent in ostree.repo-config(5)",
                )


def _write_all(descriptor: int, piece: bytes) -> int:
    done = os.write(descriptor, piece)
    while done < len(piece):
        done += os.write(descriptor, piece[done:])
    return done


def _hashed(update: Callable[[bytes], None], chunks: Chunks) -> Chunks:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _claimed(tmp: Path) -> tuple[Path, int]:
    """A new directory and a descriptor that holds its lock.

    Before it is locked, another import may take it for abandoned, and clear it away.
    """
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=tmp))
        with suppress(FileNotFoundError):
            held = os.open(directory, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if directory.exists():
                return directory, held
            os.close(held)


def _clear_abandoned(tmp: Path) -> None:
    """Remove what killed imports left: a directory that nobody holds the lock of."""
    for directory in tmp.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            held = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(held)
