"""What a worker process can do: a job writes objects, a task returns a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from importer.progress import Advance
    from layers.chunks import Chunks
    from layers.entry import Owner


class Store(Protocol):
    """A destination of objects: a `Repo`, or `NewObjects` of one."""

    @property
    def is_slow(self) -> bool:
        """Return whether writing a small file takes so long that a thread is worth it."""

    def write_file(self, owner: Owner, content: bytes) -> str:
        """Store a file, the content in one piece. Return its checksum."""

    def write_symlink(self, owner: Owner, target: str) -> str:
        """Store a symlink. Return its checksum."""

    def write_large_file(self, owner: Owner, size: int, chunks: Chunks) -> str:
        """Store a file of `size` bytes that come in pieces. Return its checksum."""

    def write_meta(self, kind: Literal["dirtree", "dirmeta"], data: bytes) -> str:
        """Store the bytes of a directory's object. Return its checksum."""

    def content(self, checksum: str) -> Chunks:
        """Yield the content of a stored file in pieces."""


class Job[T](Protocol):
    """Work that reads files, such as a layer's, and stores them as objects.

    A job is pickled to be sent to another process. `T` is the type of its result.
    """

    def read(self, store: Store, source: int, advance: Advance) -> T:
        """Store the files. `source` is a descriptor, which stays open, or -1 if none is needed.

        Raise LayerError if the layer is wrong, ImporterError if its files cannot be read.
        """


class Task[T](Protocol):
    """Work that only reads, such as to verify a layer. A task is pickled, too."""

    def run(self) -> T:
        """Do the work. Raise LayerError if a layer is wrong, ImporterError if the repo or this
        machine is at fault."""
