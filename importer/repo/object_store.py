"""The objects that a transaction adds: files, symlinks and directories' metadata."""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.repo.libostree import Gio, GLib, faults
from importer.repo.libostree_objects import LibostreeObjects
from importer.repo.new_objects import NewObjects
from importer.repo.object_file import FORMATS
from importer.repo.pulled_objects import PulledObjects
from importer.repo.reader import RepoReader
from importer.repo.staging import LooseObjects
from layers.ostree.objects import content_of, dirmeta

if TYPE_CHECKING:
    from pathlib import Path

    from importer.repo.libostree_objects import MetaKind
    from importer.repo.new_objects import ObjectPlace
    from layers.chunks import Chunks
    from layers.entry import Owner
    from layers.ostree.objects import Content

# How often a transaction that others are in the way of is begun anew; once is nearly always enough.
_PREPARATIONS = 100


class ObjectStore(RepoReader):
    """A repo that objects are written to, within a transaction, by any number of threads.

    Where the repo's mode allows it, objects are written beside libostree, which is faster (see
    importer/repo/object_file.py); elsewhere libostree writes them.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._dirmetas: dict[Owner, str] = {}
        # Of the transaction, once libostree has begun it.
        self._libostree: LibostreeObjects | None = None
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
        return self._loose_objects().new_place()

    def shared_objects(self) -> LooseObjects:
        """Return a directory for objects that other machines write, outside of any transaction.

        The caller keeps the repo locked while it is used, and closes it. Raise ImporterError if
        only libostree can write to a repo of this mode.
        """
        if not self.writes_beside:
            raise ImporterError(f"only libostree can write to a repo of mode {self.mode}")
        with faults(f"writing to repo {self.path}"):
            _, reserved = self.handle.get_min_free_space_bytes()
            return LooseObjects(self.path, self.mode, int(reserved))

    def pulled_objects(self) -> PulledObjects:
        """Return a directory for objects that are pulled from other machines, outside of any
        transaction. The caller keeps the repo locked while it is used, and closes it."""
        with faults(f"writing to repo {self.path}"):
            return PulledObjects(self.path, self.handle)

    def count_written(self, size: int) -> None:
        """Add the bytes that another process wrote into its place to this transaction's."""
        if self._beside is not None:
            self._beside.count_written(size)

    # --- by this process: an `importer.workers.job.Store` ---

    @property
    def is_slow(self) -> bool:
        """Return whether a file is worth a thread: deflating it, or libostree, runs without
        Python's lock."""
        return not self.writes_beside or self.mode == "archive"

    def content(self, checksum: str) -> Chunks:
        """Yield the content of a file's object; also of one that is not published yet."""
        if self._beside is not None and self._beside.new.has_written(checksum):
            return self._beside.new.content(checksum)
        return super().content(checksum)

    def write_file(self, owner: Owner, content: bytes) -> str:
        with faults(f"writing a file to repo {self.path}"):
            present = self._present(content_of(owner, b""), content)
            return present or self._writer().write_file(owner, content)

    def write_symlink(self, owner: Owner, target: str) -> str:
        with faults(f"writing a symlink to repo {self.path}"):
            present = self._present(content_of(owner, target.encode()), b"")
            return present or self._writer().write_symlink(owner, target)

    def _present(self, content: Content, data: bytes) -> str | None:
        """Return the checksum of a file that the repo has. None if it may be new, or if other files
        are: then there is a writer, which looks for it too."""
        if self._plain is None or self._beside is not None:
            return None
        checksum = sha256(content.header + data).hexdigest()
        return checksum if self._plain.has("file", checksum) else None

    def write_large_file(self, owner: Owner, size: int, chunks: Chunks) -> str:
        with faults(f"writing a large file to repo {self.path}"):
            return self._writer().write_large_file(owner, size, chunks)

    def write_meta(self, kind: MetaKind, data: bytes) -> str:
        with faults(f"writing a {kind} object to repo {self.path}"):
            return self._writer().write_meta(kind, data)

    def write_dirmeta(self, owner: Owner) -> str:
        """Have libostree store a directory's mode, owner and xattrs. Return the checksum."""
        if owner not in self._dirmetas:
            if self._plain is None:
                self._by_libostree().check(owner)
            self._dirmetas[owner] = self.store("dirmeta", dirmeta(owner))
        return self._dirmetas[owner]

    def store(self, kind: MetaKind, data: bytes) -> str:
        """Have libostree store an object, unless the repo has it. A commit of the same transaction
        may refer to it. Return the checksum."""
        checksum = sha256(data).hexdigest()
        if self._plain is not None and self._plain.has(kind, checksum):
            return checksum
        with faults(f"writing a {kind} object to repo {self.path}"):
            return self._by_libostree().write_meta(kind, data)

    def _writer(self) -> NewObjects | LibostreeObjects:
        return self._loose_objects().new if self.writes_beside else self._by_libostree()

    def _by_libostree(self) -> LibostreeObjects:
        """Begin libostree's transaction, unless it is under way: it is loaded for new objects
        alone."""
        with self._lock:
            if self._libostree is None:
                with faults(f"preparing to write to repo {self.path}"):
                    self._prepare()
                canonical = self.mode == "bare-user-only"
                self._libostree = LibostreeObjects(self.handle, canonical=canonical)
        return self._libostree

    def _prepare(self) -> None:
        """Begin a transaction.

        Before libostree has opened its new staging directory, another transaction may take that
        one over, and delete it when done; a failed attempt leaves nothing behind (ostree issue
        1620; ostree-repo.c, _ostree_repo_allocate_tmpdir).
        """
        for _ in range(_PREPARATIONS):
            try:
                self.handle.prepare_transaction(None)
            except GLib.Error as error:
                if not error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_FOUND):
                    raise
            else:
                return
        self.handle.prepare_transaction(None)

    def _loose_objects(self) -> LooseObjects:
        with self._lock:
            if self._beside is None:
                self._beside = self.shared_objects()
        return self._beside

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

    def publish_early(self, directory: str) -> None:
        """Move the objects of a writer's full directory to where readers look, while the writer
        fills the next one. If the writer fails later, no ref has them until `ostree prune`."""
        if self._beside is not None:
            self.sync()
            with faults(f"moving files into repo {self.path}"):
                self._beside.publish_full(directory)

    def discard(self) -> None:
        """Remove the objects that are not published. Idempotent."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None
