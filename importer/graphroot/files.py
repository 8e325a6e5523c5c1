"""Reading files that belong to somebody else: never locked, never written, their times kept."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.errors import CHANGED, LayerError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from layers.chunks import OpenChunks

CHUNK = 1 << 20
DAMAGED = "the store is damaged; a new pull mends it"
# Not blocking, so that a fifo in a file's place cannot keep us waiting for ever.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def opened(path: bytes, directory: int | None = None, flags: int = 0) -> int:
    """A descriptor for the file, below this directory if one is given; OSError as open(2) has it.

    The last component is not followed if it is a symlink. The access time stays where the
    kernel lets us say so (O_NOATIME: open(2), for the owner and for root).
    """
    try:
        return os.open(path, _FLAGS | flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(path, _FLAGS | flags, dir_fd=directory)


def pieces(descriptor: int) -> OpenChunks:
    """All that the descriptor gives; closed afterwards."""
    try:
        while piece := os.read(descriptor, CHUNK):
            yield piece
    finally:
        os.close(descriptor)


def read_file(path: Path) -> bytes | None:
    """The whole file, or None if there is none."""
    with faults(path):
        try:
            return b"".join(pieces(opened(os.fsencode(path))))
        except FileNotFoundError:
            return None


def is_there(path: Path) -> bool:
    """Whether there is anything of this name; ImporterError if we may not know."""
    with faults(path):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def names_in(path: Path | bytes) -> list[bytes]:
    """What a directory has, in order."""
    with faults(path):
        descriptor = opened(os.fsencode(path), flags=os.O_DIRECTORY)
        try:
            return sorted(map(os.fsencode, os.listdir(descriptor)))  # noqa: PTH208 - of a descriptor
        finally:
            os.close(descriptor)


@contextmanager
def faults(path: Path | bytes) -> Iterator[None]:
    """What the kernel says of a file becomes an ImporterError with the path."""
    try:
        yield
    except PermissionError as error:
        raise ImporterError(
            f"{printable(os.fsencode(path))}: {error.strerror}",
            hint="run as root, or within `podman unshare` for a store of your own",
        ) from None
    except OSError as error:
        raise ImporterError(f"{printable(os.fsencode(path))}: {error.strerror}") from None


@contextmanager
def records(path: Path) -> Iterator[None]:
    """A record of the store's that cannot be read is no image's fault."""
    try:
        yield
    except LayerError as error:
        raise ImporterError(f"{path}: {error}", hint="the store is damaged") from None


@contextmanager
def documents(image: str) -> Iterator[None]:
    """What an image's documents say is its own; that one of them has changed is the store's."""
    try:
        yield
    except LayerError as error:
        if error.hint == CHANGED:
            error.hint = DAMAGED
        raise error.within(digest=f"image {image}") from None
