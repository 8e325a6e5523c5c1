"""Commits, files and directories of a repo, as values."""

from __future__ import annotations

import struct
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from importer.errors import ImporterError
from layers.chunks import joined
from layers.document import MAX_DOCUMENT_SIZE
from layers.frozen import frozen
from layers.ostree.objects import read_dirtree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from importer.repo.libostree import GLib
    from importer.repo.reader import RepoReader
    from layers.entry import Owner, Xattrs
    from layers.ostree.objects import Stored

    class StoredTree(Protocol):
        """A tree in the repo: of a Commit, a RepoDirectory, a `Tree` that is written, `Stored`."""

        @property
        def contents(self) -> str: ...
        @property
        def meta(self) -> str: ...

    class SystemDirectory(Protocol):
        """A directory of an operating system: a commit's RepoDirectory, or a container image's
        WatchedDirectory."""

        @property
        def leaves(self) -> Mapping[bytes, object]: ...
        @property
        def directories(self) -> Mapping[bytes, SystemDirectory]: ...
        def find(self, path: str) -> SystemDirectory | None: ...
        def leaf(self, path: str) -> object | None: ...
        def read(self, path: str, limit: int = MAX_DOCUMENT_SIZE) -> bytes | None: ...


type ObjectKind = Literal["commit", "dirtree", "dirmeta", "file"]


@frozen
class Message:
    """A commit's subject, time (seconds since 1970), body and metadata.

    All values are text: libostree writes integers of the metadata in the machine's own byte order,
    and the checksum would differ with it.
    """

    subject: str
    timestamp: int
    body: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


@frozen
class Commit:
    """A commit as the repo has it; `contents` and `meta` are its root's dirtree and dirmeta.

    `partial` if a pull has left out some of its objects, or has not got them yet.
    """

    checksum: str
    contents: str
    meta: str
    message: Message
    metadata: Mapping[str, Any]
    partial: bool


@frozen
class StoredFile:
    """A file or symlink as the repo has it; `size` in bytes, `target` None for a file."""

    checksum: str
    owner: Owner
    size: int
    target: str | None


class RepoDirectory:
    """A directory of a commit, read when it is looked at; a `layers.tree.lower.TreeDirectory`."""

    def __init__(self, repo: RepoReader, contents: str, meta: str) -> None:
        self._repo = repo
        self.contents = contents
        self.meta = meta

    @property
    def leaves(self) -> Mapping[bytes, str]:
        return self._content[0]

    @cached_property
    def directories(self) -> Mapping[bytes, RepoDirectory]:
        below = self._content[1].items()
        return {name: RepoDirectory(self._repo, *stored) for name, stored in below}

    @cached_property
    def _content(self) -> tuple[Mapping[bytes, str], Mapping[bytes, Stored]]:
        try:
            return read_dirtree(self._repo.dirtree(self.contents))
        except ValueError as error:
            raise ImporterError(f"reading directory {self.contents}: {error}") from None

    def find(self, path: str) -> RepoDirectory | None:
        """Return the directory at this relative path, None if there is none."""
        node: RepoDirectory | None = self
        for name in Path(path).parts:
            node = node.directories.get(name.encode()) if node else None
        return node

    def leaf(self, path: str) -> str | None:
        """Return the checksum of the file or symlink at this relative path, None if there is
        none."""
        directory, _, name = path.rpartition("/")
        node = self.find(directory)
        return node.leaves.get(name.encode()) if node else None

    def read(self, path: str, limit: int = MAX_DOCUMENT_SIZE) -> bytes | None:
        """Return the content of the file at this relative path, None if there is none. Raise
        LayerError if it has more than `limit` bytes."""
        checksum = self.leaf(path)
        if checksum is None:
            return None
        return joined(self._repo.content(checksum), limit, path.rpartition("/")[2])


def hex_of(child: GLib.Variant, at: int) -> str:
    return bytes_of(child, at).hex()


def bytes_of(child: GLib.Variant, at: int) -> bytes:
    return bytes(child.get_child_value(at).get_data_as_bytes().get_data())


def from_be32(value: int) -> int:
    """Return a big-endian number of the repo's GVariants in the machine's byte order."""
    return int(struct.unpack(">I", struct.pack("=I", value))[0])


def read_xattrs(variant: GLib.Variant) -> Xattrs:
    """Return the xattrs in an `a(ayay)`: names end in a NUL, values do not."""
    pairs = (variant.get_child_value(n) for n in range(variant.n_children()))
    return tuple((bytes_of(pair, 0).rstrip(b"\0"), bytes_of(pair, 1)) for pair in pairs)
