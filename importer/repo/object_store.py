"""The objects that a transaction adds: files, symlinks and directories' metadata."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from importer.errors import ImporterError
from importer.repo.content_object import (
    check_canonical,
    dirmeta_variant,
    store_object,
    store_stream,
)
from importer.repo.libostree import GLib, OSTree, faults
from importer.repo.object_file import FORMATS
from importer.repo.pulled_objects import PulledObjects
from importer.repo.reader import RepoReader
from importer.repo.shared_objects import SharedObjects
from importer.repo.staged_objects import LooseObjects
from layers.ostree.objects import DIRECTORY, FILE, SYMLINK, content_of

if TYPE_CHECKING:
    from pathlib import Path

    from importer.repo.staging import ObjectPlace
    from layers.chunks import Chunks
    from layers.entry import Owner

_META = {
    "dirtree": (OSTree.ObjectType.DIR_TREE, GLib.VariantType.new("(a(say)a(sayay))")),
    "dirmeta": (OSTree.ObjectType.DIR_META, GLib.VariantType.new("(uuua(ayay))")),
}


class ObjectStore(RepoReader):
    """A repo that objects are written to, within a transaction, by any number of threads.

    Where the repo's mode allows it, they are written beside libostree, which is faster (see
    importer/repo/object_file.py); elsewhere libostree writes them.
    """

    def __init__(self, path: Path, handle: OSTree.Repo) -> None:
        super().__init__(path, handle)
        self._dirmetas: dict[Owner, str] = {}
        self._beside: LooseObjects | None = None
        self._lock = threading.Lock()
        # What this instance's transactions added to the repo's files, as the repo keeps them.
        self.written_bytes = 0

    # --- by other processes ---

    @property
    def writes_beside(self) -> bool:
        """Return whether we can write objects of this repo's mode ourselves: see `new_place`."""
        return self.mode in FORMATS

    def new_place(self) -> ObjectPlace:
        """Return a directory for new objects of this transaction, which another process may fill.

        Raise ImporterError if only libostree can write to a repo of this mode.
        """
        beside = self._beside_libostree()
        if beside is None:
            raise ImporterError(f"only libostree can write to a repo of mode {self.mode}")
        return beside.new_place()

    def shared_objects(self) -> SharedObjects:
        """Return a directory for objects that other machines write, outside of any transaction.

        The caller keeps the repo locked while it is used, and closes it. Raise ImporterError if
        only libostree can write to a repo of this mode.
        """
        if not self.writes_beside:
            raise ImporterError(f"only libostree can write to a repo of mode {self.mode}")
        with faults(f"writing to repo {self.path}"):
            _, reserved = self.handle.get_min_free_space_bytes()
            return SharedObjects(self.path, self.mode, reserved)

    def pulled_objects(self) -> PulledObjects:
        """Return a directory for objects that are pulled from other machines, outside of any
        transaction. The caller keeps the repo locked while it is used, and closes it."""
        with faults(f"writing to repo {self.path}"):
            return PulledObjects(self.path, self.handle)

    def count_written(self, size: int) -> None:
        """Add the bytes that another process wrote into its place to this transaction's."""
        if self._beside is not None:
            self._beside.count_written(size)

    # --- by this process: an `importer.ingest.object_writer.Store` ---

    @property
    def is_slow(self) -> bool:
        """Return whether a file is worth a thread: libostree runs without Python's lock."""
        return True

    def content(self, checksum: str) -> Chunks:
        """Yield the content of a file's object; also of one that is not published yet."""
        if self._beside is not None and self._beside.new.has_written(checksum):
            return self._beside.new.content(checksum)
        return super().content(checksum)

    def write_file(self, owner: Owner, content: bytes) -> str:
        """Store a file, the content in one piece. Return its checksum."""
        beside = self._beside_libostree()
        if beside is not None:
            with faults(f"writing a file to repo {self.path}"):
                return beside.new.write_file(owner, content)
        return store_object(self.handle, self._header(owner, FILE, ""), content)

    def write_symlink(self, owner: Owner, target: str) -> str:
        """Store a symlink. Return its checksum. Linux gives every symlink the mode 0777."""
        beside = self._beside_libostree()
        if beside is not None:
            with faults(f"writing a symlink to repo {self.path}"):
                return beside.new.write_symlink(owner, target)
        owner = owner._replace(mode=0o777)
        return store_object(self.handle, self._header(owner, SYMLINK, target), b"")

    def write_large_file(self, owner: Owner, size: int, chunks: Chunks) -> str:
        """Store a file of `size` bytes that come in pieces. Return its checksum."""
        beside = self._beside_libostree()
        if beside is None:
            return store_stream(self.handle, self._header(owner, FILE, ""), size, chunks)
        with faults(f"writing a large file to repo {self.path}"):
            return beside.new.write_large_file(owner, size, chunks)

    def write_dirmeta(self, owner: Owner) -> str:
        """Store a directory's mode, owner and xattrs. Return the dirmeta object's checksum."""
        if owner not in self._dirmetas:
            if self.mode == "bare-user-only":
                check_canonical(owner, DIRECTORY)
            variant = dirmeta_variant(owner)
            with faults(f"writing a dirmeta object to repo {self.path}"):
                _, checksum = self.handle.write_metadata(
                    OSTree.ObjectType.DIR_META, None, variant, None
                )
            self._dirmetas[owner] = bytes(checksum).hex()
        return self._dirmetas[owner]

    def write_meta(self, kind: Literal["dirtree", "dirmeta"], data: bytes) -> str:
        """Store the bytes of a directory's object, see layers/ostree/objects.py. Return its
        checksum."""
        beside = self._beside_libostree()
        with faults(f"writing a {kind} object to repo {self.path}"):
            if beside is not None:
                return beside.new.write_meta(kind, data)
            object_type, format_ = _META[kind]
            variant = GLib.Variant.new_from_bytes(format_, GLib.Bytes.new(data), False)
            _, checksum = self.handle.write_metadata(object_type, None, variant, None)
        return bytes(checksum).hex()

    def _beside_libostree(self) -> LooseObjects | None:
        """Return this transaction's objects beside libostree, None where it has to write them."""
        if not self.writes_beside:
            return None
        with self._lock:
            if self._beside is None:
                with faults(f"writing to repo {self.path}"):
                    _, reserved = self.handle.get_min_free_space_bytes()
                    self._beside = LooseObjects(self.path, self.mode, reserved)
        return self._beside

    def _header(self, owner: Owner, kind: int, target: str) -> bytes:
        if self.mode == "bare-user-only":
            check_canonical(owner, kind)
        return content_of(owner, target.encode()).header

    # --- at the end of the transaction ---

    @property
    def has_unpublished(self) -> bool:
        """Return whether this transaction has objects that no reader of the repo sees yet."""
        return self._beside is not None

    def publish(self) -> None:
        """Move the objects to where readers look; they have to be durable."""
        if self._beside is not None:
            with faults(f"moving files into repo {self.path}"):
                self._beside.publish()
            self.written_bytes += self._beside.written_bytes

    def discard(self) -> None:
        """Remove the objects that are not published. Idempotent."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None
