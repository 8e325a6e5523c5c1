"""The file of one content object, as libostree writes it, without its cost.

libostree takes fifteen system calls and two copies for a small object, and hashes a large
one at a fifth of hashlib's speed. The loose object is a documented, stable format (ostree's
manual, "Anatomy of an OSTree repository"), so here it is written directly.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from isal import igzip_lib, isal_zlib

if TYPE_CHECKING:
    from collections.abc import Buffer, Callable, Iterable, Iterator, Sequence

    from layers.verify import Chunks

_READ = 1 << 20
_DEFLATE_LEVEL = 3  # isal's best; zlib's own best takes ten times as long for a few per cent
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# From this size on a file's way to the disk is begun at once (mm/fadvise.c: DONTNEED starts to
# write what is dirty), so that less is left for when all of them have to be there.
_SOON = 64 << 10
# What a umask may take away: nothing is known of it.
ANY_UMASK = 0o777


class Content(NamedTuple):
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

    def encoded(self, content: Content, size: int, chunks: Iterable[Buffer]) -> Iterable[Buffer]:
        """The object file's bytes."""

    def decoded(self, file: BinaryIO) -> Chunks:
        """The content again."""

    def mode(self, content: Content) -> int:
        """The object file's mode."""

    def finish(self, descriptor: int, content: Content) -> None:
        """The object file's other attributes."""


class BareUser:
    """The content as it is, mode and owner in an xattr. Source: ostree-repo-commit.c,
    `commit_loose_regfile_object`, and `OSTREE_REPO_MODE_BARE_USER` in ostree-core.h."""

    suffix = ".file"

    def encoded(self, content: Content, size: int, chunks: Iterable[Buffer]) -> Iterable[Buffer]:  # noqa: ARG002 - the Protocol's
        """A symlink is a file with the target and a NUL."""
        return [content.target + b"\0"] if content.target else chunks

    def decoded(self, file: BinaryIO) -> Chunks:
        """All of it."""
        while chunk := file.read(_READ):
            yield chunk

    def mode(self, content: Content) -> int:
        """Readable for the owner, and never setuid."""
        return 0o644 if content.target else (content.mode | 0o400) & 0o775

    def finish(self, descriptor: int, content: Content) -> None:
        """At time 0, as objects are hard-linked."""
        os.setxattr(descriptor, "user.ostreemeta", content.ostreemeta)
        os.utime(descriptor, (0, 0))


class Archive:
    """A header, then the content deflated. Source: ostree-core.c, `_ostree_zlib_file_header_new`
    and `ostree_raw_file_to_archive_z2_stream`."""

    suffix = ".filez"

    def encoded(self, content: Content, size: int, chunks: Iterable[Buffer]) -> Iterable[Buffer]:
        """The size is the header's first field, a big-endian 64-bit number."""
        prefix, fields = content.zheader[:8], content.zheader[16:]
        yield prefix + size.to_bytes(8) + fields
        if not content.target:
            yield from _deflated(chunks)

    def decoded(self, file: BinaryIO) -> Chunks:
        """What follows the header, in pieces of a bounded size, however well it is packed."""
        file.seek(8 + int.from_bytes(file.read(4)))
        inflate = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        while not inflate.eof:
            packed = file.read(_READ) if inflate.needs_input else b""
            if not packed and inflate.needs_input:
                raise RuntimeError(f"{file.name} is not all there")
            yield inflate.decompress(packed, _READ)

    def mode(self, content: Content) -> int:  # noqa: ARG002 - the Protocol's
        """Readable for whoever serves the repo."""
        return 0o644

    def finish(self, descriptor: int, content: Content) -> None:
        """All is in the file."""


def _deflated(chunks: Iterable[Buffer]) -> Iterable[Buffer]:
    deflate = isal_zlib.compressobj(_DEFLATE_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    for chunk in chunks:
        yield deflate.compress(chunk)
    yield deflate.flush()


FORMATS: dict[str, Format] = {"bare-user": BareUser(), "archive": Archive()}


class Written(NamedTuple):
    """An object's checksum, and the bytes that its file took, or -1 if it was there already."""

    checksum: str
    size: int


class ObjectDirectory:
    """A directory for new objects of a repo; for one thread, which writes one after the other.

    `umask` has the bits that this process's may take away.
    """

    def __init__(self, mode: str, objects: str, path: str, umask: int) -> None:
        self.path = path
        self._form = FORMATS[mode]
        self._umask = umask
        self._new = _directory(path)
        try:
            self._objects = _directory(objects)
        except OSError:
            os.close(self._new)
            raise

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self._new)
        os.close(self._objects)

    def write(self, content: Content, data: Buffer) -> Written:
        """Store content in one piece, unless the repo has it, or this directory."""
        hasher = sha256(content.header)
        hasher.update(data)
        checksum = hasher.hexdigest()
        if self._has(checksum):
            return Written(checksum, -1)
        size = memoryview(data).nbytes
        try:
            written = self._write(checksum, content, self._form.encoded(content, size, (data,)))
        except FileExistsError:
            written = -1  # one of the files before was the same
        return Written(checksum, written)

    def write_large(self, content: Content, size: int, chunks: Chunks) -> Written:
        """Store content that comes in pieces; its checksum is known at the end."""
        hasher = sha256(content.header)
        pieces = self._form.encoded(content, size, _hashed(hasher.update, chunks))
        written = self._write("large", content, pieces)
        checksum = hasher.hexdigest()
        os.rename("large", checksum, src_dir_fd=self._new, dst_dir_fd=self._new)
        return Written(checksum, written)

    def _has(self, checksum: str) -> bool:
        name = f"{checksum[:2]}/{checksum[2:]}{self._form.suffix}"
        return os.access(name, os.F_OK, dir_fd=self._objects)

    def _write(self, name: str, content: Content, pieces: Iterable[Buffer]) -> int:
        mode = self._form.mode(content)
        # What nobody may write to, nobody but root could give an xattr.
        begin = mode if mode & 0o200 and not mode & self._umask else 0o600
        descriptor = os.open(name, _NEW, begin, dir_fd=self._new)
        written = 0
        try:
            for piece in pieces:
                written += _write_all(descriptor, piece)
            self._form.finish(descriptor, content)
            if begin != mode:
                os.fchmod(descriptor, mode)
            if written >= _SOON:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        return written


def move_objects(mode: str, objects: str, directory: str, checksums: Sequence[str]) -> None:
    """Move an `ObjectDirectory`'s objects to where the repo has its own."""
    suffix = FORMATS[mode].suffix
    source = _directory(directory)
    target = _directory(objects)
    try:
        for checksum in checksums:
            name = f"{checksum[:2]}/{checksum[2:]}{suffix}"
            try:
                os.rename(checksum, name, src_dir_fd=source, dst_dir_fd=target)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(checksum[:2], 0o775, dir_fd=target)
                os.rename(checksum, name, src_dir_fd=source, dst_dir_fd=target)
    finally:
        os.close(source)
        os.close(target)


def _directory(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _write_all(descriptor: int, piece: Buffer) -> int:
    size = memoryview(piece).nbytes
    done = os.write(descriptor, piece)
    while done < size:
        done += os.write(descriptor, memoryview(piece)[done:])
    return done


def _hashed(update: Callable[[Buffer], None], chunks: Chunks) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk
