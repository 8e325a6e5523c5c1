"""Write blobs as whole files; trust a blob's file only after hashing its content."""

from __future__ import annotations

import os
from contextlib import contextmanager
from hashlib import sha256
from stat import S_ISREG
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.atomic import new_file
from layers.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def has_content(path: Path, digest: Digest, size: int) -> bool:
    """Return whether the path is a regular file of `size` bytes whose content has this digest.

    A file of another size is not read: it may be sparse, and have terabytes.
    """
    hasher = digest.hasher()
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode) or status.st_size != size:
            return False
        while piece := os.read(descriptor, 1 << 20):
            hasher.update(piece)
    finally:
        os.close(descriptor)
    return hasher.hexdigest() == digest.hex


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file of mode 0644, in place of any other of that name. Raise OSError."""
    with new_file(path.parent) as new:
        new.file.writelines(chunks)
        os.fchmod(new.file.fileno(), 0o644)
        new.replace(path)


def new_blob(directory: Path, chunks: Iterable[bytes]) -> tuple[Digest, int]:
    """Write a file of mode 0644 that is named by its sha256. Return this digest, and the size in
    bytes. Raise OSError."""
    hasher, size = sha256(), 0
    with new_file(directory) as new:
        for chunk in chunks:
            hasher.update(chunk)
            size += new.file.write(chunk)
        os.fchmod(new.file.fileno(), 0o644)
        new.replace(directory / hasher.hexdigest())
    return Digest("sha256", hasher.hexdigest()), size


@contextmanager
def naming(path: Path, doing: str = "writing") -> Iterator[None]:
    """Turn an OSError into an ImporterError that names the path."""
    try:
        yield
    except OSError as error:
        raise ImporterError(f"{doing} {path}: {error.strerror}") from error
