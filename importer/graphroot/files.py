"""Read a foreign store's files: nothing is locked or written, and no symlink is followed."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError
from importer.files import beneath
from layers.errors import CHANGED, LayerError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from layers.chunks import OpenChunks

CHUNK = 1 << 20
DAMAGED = "the store is damaged; a new pull mends it"
# open(2)'s errors for a path that does not exist, or leads through a file or a symlink.
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_SYMLINK = "stores have no symlinks there; was the store moved? name the directory that it is in"


@cache
def _boot() -> str:
    """Return the id of this kernel's boot: random(4), /proc/sys/kernel/random/boot_id."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Path, device and inode of a directory, for a worker process that opens it again.

    Each kernel gives a shared file system a device number of its own; `boot` is the kernel's id.
    """

    path: bytes
    device: int
    inode: int
    boot: str

    def open(self) -> StoreDirectory:
        """Open the directory. Raise ImporterError if another directory has taken its place."""
        found = StoreDirectory.named(Path(os.fsdecode(self.path)))
        if not self._is_same(found.place):
            found.close()
            raise ImporterError(f"{printable(self.path)} was replaced while it was read")
        return found

    def _is_same(self, other: StorePlace) -> bool:
        same_device = self.device == other.device or self.boot != other.boot
        return same_device and self.inode == other.inode


class StoreDirectory:
    """A directory in a store, held by its descriptor, so that it stays the same one.

    Paths are bytes, relative to it. Errors are ImporterErrors with the whole path.
    """

    def __init__(self, descriptor: int, path: bytes) -> None:
        """Own the descriptor, which `close` closes. `path` is for messages."""
        self.descriptor = descriptor
        self.path = path

    @classmethod
    def named(cls, path: Path) -> Self:
        """Open a directory that the user names; its path may have symlinks."""
        name = os.fsencode(path)
        with faults(name):
            return cls(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), name)

    @property
    def place(self) -> StorePlace:
        """Return the `StorePlace` from which another process can open this directory."""
        status = os.fstat(self.descriptor)
        return StorePlace(self.path, status.st_dev, status.st_ino, _boot())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)

    def full(self, path: bytes) -> bytes:
        """Return the whole path, for messages."""
        return self.path + b"/" + path if path else self.path

    def directory(self, path: bytes) -> StoreDirectory:
        """Open a directory below."""
        with faults(self.full(path)):
            return StoreDirectory(beneath.open_directory(self.descriptor, path), self.full(path))

    def is_there(self, path: bytes) -> bool:
        """Return whether the path exists, even as a dangling symlink."""
        with faults(self.full(path)):
            try:
                os.close(beneath.look_at(self.descriptor, path))
            except OSError as error:
                if error.errno in _ABSENT:
                    return False
                raise
        return True

    def names(self) -> list[bytes]:
        """Return the directory's names, sorted."""
        with faults(self.path):
            found = os.listdir(self.descriptor)  # noqa: PTH208 - of a descriptor
        return sorted(map(os.fsencode, found))

    def read(self, path: bytes, limit: int) -> bytes | None:
        """Return a file's content, None if there is no such file. Raise ImporterError if it is not
        a regular file, or has more than `limit` bytes."""
        return b"".join(self.pieces(path, limit)) if self.is_there(path) else None

    def pieces(self, path: bytes, limit: int) -> OpenChunks:
        """Yield a file's content. Raise ImporterError as `read` does, and if it is missing."""
        full = self.full(path)
        with faults(full):
            descriptor = beneath.open_file(self.descriptor, path)
            try:
                check_regular(descriptor, full)
                yield from _bounded(descriptor, full, limit)
            finally:
                os.close(descriptor)


def check_regular(descriptor: int, full: bytes) -> None:
    """Raise ImporterError unless the file is regular, IsADirectoryError for a directory."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise ImporterError(f"{printable(full)} is no regular file")


def _bounded(descriptor: int, full: bytes, limit: int) -> OpenChunks:
    """Yield the content. The size is compared first: a sparse file of terabytes costs nothing.

    Raise ImporterError if there are more than `limit` bytes, also if the file grows meanwhile.
    """
    if os.fstat(descriptor).st_size > limit:
        raise ImporterError(f"{printable(full)} has more than {limit} bytes")
    for piece in pieces(descriptor):
        limit -= len(piece)
        if limit < 0:
            raise ImporterError(f"{printable(full)} grows while it is read")
        yield piece


def pieces(descriptor: int) -> OpenChunks:
    """Yield the descriptor's bytes to its end, in chunks of at most CHUNK bytes."""
    while piece := os.read(descriptor, CHUNK):
        yield piece


def sized_pieces(descriptor: int, size: int, full: bytes) -> OpenChunks:
    """Yield the bytes of a file of `size` bytes. Raise ImporterError if there are fewer, or more:
    the owner could append to the file without end."""
    for piece in pieces(descriptor):
        size -= len(piece)
        if size < 0:
            break
        yield piece
    if size:
        raise ImporterError(f"{printable(full)} changed while it was read")


@contextmanager
def faults(path: bytes) -> Iterator[None]:
    """Turn an OSError into an ImporterError with the path, and a hint."""
    try:
        yield
    except PermissionError as error:
        raise ImporterError(
            f"{printable(path)}: {error.strerror}",
            hint="run as root, or within `podman unshare` for a store of your own",
        ) from None
    except OSError as error:
        hint = _SYMLINK if error.errno in (errno.ELOOP, errno.ENOTDIR) else ""
        raise ImporterError(f"{printable(path)}: {error.strerror}", hint=hint) from None


@contextmanager
def records(path: bytes) -> Iterator[None]:
    """Turn a LayerError about a record into an ImporterError: the store is damaged, no image."""
    try:
        yield
    except LayerError as error:
        said = f"{printable(path)}: {error}"
        raise ImporterError(said, hint="the store is damaged") from None


@contextmanager
def documents(image: str) -> Iterator[None]:
    """Name the image in errors. A digest that does not match gets a hint that the store is
    damaged, since the documents were verified when the image was pulled."""
    try:
        yield
    except LayerError as error:
        if error.hint == CHANGED:
            error.hint = DAMAGED
        raise error.within(digest=f"image {image}") from None
