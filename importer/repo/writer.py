"""A repo that is written to."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from importer.errors import ImporterError
from importer.repo.commit_metadata import commit_metadata, metadata_of
from importer.repo.content_object import (
    check_canonical,
    dirmeta_variant,
    store_object,
    store_stream,
)
from importer.repo.libostree import Gio, GLib, OSTree, faults
from importer.repo.object_file import FORMATS
from importer.repo.reader import RepoReader
from importer.repo.staged_objects import LooseObjects
from importer.repo.tree import Tree
from layers.ostree.objects import DIRECTORY, FILE, SYMLINK, content_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.repo.commit_metadata import Base
    from importer.repo.staging import Place
    from importer.repo.values import Commit, Message, StoredTree
    from layers.chunks import Chunks
    from layers.entry import Owner

# libostree can read bare-split-xattrs repos, but not write to them.
_WRITABLE_MODES = ("archive", "bare", "bare-user", "bare-user-only")
_META = {
    "dirtree": (OSTree.ObjectType.DIR_TREE, GLib.VariantType.new("(a(say)a(sayay))")),
    "dirmeta": (OSTree.ObjectType.DIR_META, GLib.VariantType.new("(uuua(ayay))")),
}
# How often a transaction that others are in the way of is begun anew; once is nearly always enough.
_PREPARATIONS = 100


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many objects the repo had, how many of them are gone, and their size in bytes."""

    total: int
    objects: int
    size: int


class Transaction:
    """A transaction that is under way."""

    def __init__(self) -> None:
        self.abandoned = False

    def abandon(self) -> None:
        """There is nothing to keep: end without a commit."""
        self.abandoned = True


class Repo(RepoReader):
    """An ostree repo. One instance holds one transaction at a time; `again` opens another."""

    def __init__(self, path: Path, handle: OSTree.Repo) -> None:
        super().__init__(path, handle)
        self._dirmetas: dict[Owner, str] = {}
        self._loose: LooseObjects | None = None
        self._loose_lock = threading.Lock()
        # What this instance's transactions added to the repo's files, as the repo keeps them.
        self.written_bytes = 0

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Repo:
        """The repo at `path`, made there in bare-user mode if `create` and nothing is there."""
        repo = OSTree.Repo.new(Gio.File.new_for_path(str(path)))
        if create and cls.is_absent(path):
            with faults(f"creating repo {path}"):
                path.mkdir(parents=True, exist_ok=True)
                repo.create(OSTree.RepoMode.BARE_USER, None)
        with faults(f"opening repo {path}"):
            repo.open(None)
        return cls(path, repo)

    @staticmethod
    def is_absent(path: Path) -> bool:
        """Whether there is no repo at `path` yet, but the place for one: nothing, an empty
        directory, or a repo whose creation was cut off.

        libostree makes the config first and `objects` last; `create` makes what is missing.
        """
        with faults(f"opening repo {path}"):
            begun = [entry.name for entry in path.iterdir()] if path.is_dir() else []
            absent = not begun if path.exists() else True
        return absent or ("config" in begun and "objects" not in begun)

    def again(self) -> Repo:
        """The same repo once more, for a transaction of its own."""
        return Repo.open(self.path)

    def check_writable(self) -> None:
        """ImporterError if this user cannot write to the repo, or not what images hold."""
        with faults(f"repo {self.path}"):
            self.handle.is_writable()
        if self.mode not in _WRITABLE_MODES:
            raise ImporterError(f"repos of mode {self.mode} cannot be written to")
        if self.mode == "bare" and os.geteuid() != 0:
            raise ImporterError(
                f"{self.path} is a bare repo, which holds files with their real owners",
                hint="run as root, or use a bare-user or archive repo",
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep `ostree prune` out, also between transactions, where what one has written
        and the next will name belongs to no ref yet."""
        with faults(f"locking repo {self.path}"):
            self.handle.lock_push(OSTree.RepoLockType.SHARED, None)
        try:
            yield
        finally:
            self.handle.lock_pop(OSTree.RepoLockType.SHARED, None)

    @contextmanager
    def locked_alone(self) -> Iterator[None]:
        """Keep everybody else out: waits for imports that are under way, for as long as the
        repo's lock-timeout-secs say; see ostree.repo-config(5)."""
        try:
            with faults(f"locking repo {self.path} exclusively"):
                self.handle.lock_push(OSTree.RepoLockType.EXCLUSIVE, None)
        except ImporterError as error:
            hint = "an import or another program uses the repo; try again when it is done"
            raise error.within(hint=hint) from None
        try:
            yield
        finally:
            self.handle.lock_pop(OSTree.RepoLockType.EXCLUSIVE, None)

    def prune(self, keep: int | None) -> Pruned:
        """Delete every object that no ref needs; of each ref's ancestors `keep` commits, the
        head being the first, or all. Static deltas of commits that are gone go as well."""
        depth = -1 if keep is None else keep - 1
        with faults("deleting what no ref needs"):
            _, total, count, size = self.handle.prune(OSTree.RepoPruneFlags.REFS_ONLY, depth, None)
        return Pruned(total, count, size)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at the end, abort on any error; several threads may write meanwhile.

        Files are moved into place after libostree has synced the disk, so a commit that
        names them has to be written in a later transaction.
        """
        with faults(f"preparing to write to repo {self.path}"):
            self._prepare()
        transaction = Transaction()
        committed = False
        try:
            yield transaction
            if not transaction.abandoned:
                with faults("committing the transaction"):
                    _, stats = self.handle.commit_transaction(None)
                committed = True
                self.written_bytes += stats.content_bytes_written
                if self._loose is not None:
                    with faults("moving files into the repo"):
                        self._loose.publish()
                    self.written_bytes += self._loose.written_bytes
        finally:
            if not committed:
                with faults("aborting the transaction"):
                    self.handle.abort_transaction(None)
            if self._loose is not None:
                self._loose.close()
                self._loose = None

    def _prepare(self) -> None:
        """Begin a transaction. Before libostree has opened its new staging directory, another
        transaction may take that one over, and delete it when done; a failed attempt leaves
        nothing behind (ostree issue 1620; ostree-repo.c, _ostree_repo_allocate_tmpdir)."""
        for _ in range(_PREPARATIONS):
            try:
                self.handle.prepare_transaction(None)
            except GLib.Error as error:
                if not error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_FOUND):
                    raise
            else:
                return
        self.handle.prepare_transaction(None)

    @property
    def is_slow(self) -> bool:
        """Whether a file is worth a thread of its own: libostree's work takes none of ours."""
        return True

    @property
    def writes_beside(self) -> bool:
        """Whether this repo's mode lets objects be written beside libostree: see `new_place`."""
        return self.mode in FORMATS

    def new_place(self) -> Place:
        """Return a directory for new objects of this transaction, which another process may fill.

        Raise ImporterError if only libostree can write to a repo of this mode.
        """
        loose = self._loose_objects()
        if loose is None:
            raise ImporterError(f"only libostree can write to a repo of mode {self.mode}")
        return loose.new_place()

    def count_written(self, size: int) -> None:
        """Add the bytes that another process wrote into its place to this transaction's."""
        if self._loose is not None:
            self._loose.count_written(size)

    def content(self, checksum: str) -> Chunks:
        """The content of a file's object, in pieces; also of one that is not published yet."""
        if self._loose is not None and self._loose.new.has_written(checksum):
            return self._loose.new.content(checksum)
        return super().content(checksum)

    def write_file(self, owner: Owner, content: bytes) -> str:
        """Store a file, the content in one piece; its checksum."""
        loose = self._loose_objects()
        if loose is not None:
            with faults("writing a file"):
                return loose.new.write_file(owner, content)
        return store_object(self.handle, self._header(owner, FILE, ""), content)

    def write_symlink(self, owner: Owner, target: str) -> str:
        """Store a symlink; its checksum. Linux gives every symlink the mode 0777."""
        loose = self._loose_objects()
        if loose is not None:
            with faults("writing a symlink"):
                return loose.new.write_symlink(owner, target)
        owner = owner._replace(mode=0o777)
        return store_object(self.handle, self._header(owner, SYMLINK, target), b"")

    def write_large_file(self, owner: Owner, size: int, chunks: Chunks) -> str:
        """Store a file of `size` bytes that come in pieces; its checksum."""
        loose = self._loose_objects()
        if loose is None:
            return store_stream(self.handle, self._header(owner, FILE, ""), size, chunks)
        with faults("writing a large file"):
            return loose.new.write_large_file(owner, size, chunks)

    def _loose_objects(self) -> LooseObjects | None:
        """Where this repo's mode allows it, the faster way to write files."""
        if self.mode not in FORMATS:
            return None
        with self._loose_lock:
            if self._loose is None:
                with faults(f"writing to repo {self.path}"):
                    _, reserved = self.handle.get_min_free_space_bytes()
                    self._loose = LooseObjects(self.path, self.mode, reserved)
        return self._loose

    def _header(self, owner: Owner, kind: int, target: str) -> bytes:
        if self.mode == "bare-user-only":
            check_canonical(owner, kind)
        return content_header(owner, kind, target.encode())

    def write_dirmeta(self, owner: Owner) -> str:
        """Store a directory's mode, owner and xattrs; the checksum of its dirmeta object."""
        if owner not in self._dirmetas:
            if self.mode == "bare-user-only":
                check_canonical(owner, DIRECTORY)
            variant = dirmeta_variant(owner)
            with faults("writing a dirmeta object"):
                _, checksum = self.handle.write_metadata(
                    OSTree.ObjectType.DIR_META, None, variant, None
                )
            self._dirmetas[owner] = bytes(checksum).hex()
        return self._dirmetas[owner]

    def write_meta(self, kind: Literal["dirtree", "dirmeta"], data: bytes) -> str:
        """Store the bytes of a directory's object; its checksum. See layers/ostree/objects.py."""
        loose = self._loose_objects()
        with faults(f"writing a {kind} object"):
            if loose is not None:
                return loose.new.write_meta(kind, data)
            object_type, format_ = _META[kind]
            variant = GLib.Variant.new_from_bytes(format_, GLib.Bytes.new(data), False)
            _, checksum = self.handle.write_metadata(object_type, None, variant, None)
        return bytes(checksum).hex()

    def tree(self, owner: Owner | str) -> Tree:
        """An empty root directory for a commit."""
        return Tree(self, OSTree.MutableTree.new(), owner)

    def tree_of(self, stored: StoredTree) -> Tree:
        """A root directory that begins as the stored one; what is not changed is not read."""
        with faults(f"reading directory {stored.contents}"):
            mtree = OSTree.MutableTree.new_from_checksum(self.handle, stored.contents, stored.meta)
        return Tree(self, mtree, None)

    def is_commit(self, commit: Commit, tree: Tree, message: Message, base: Base | None) -> bool:
        """Whether `write_commit` would write this very commit."""
        root = tree.written()
        checksums = root.tree_get_contents_checksum(), root.tree_get_metadata_checksum()
        if (commit.contents, commit.meta) != checksums:
            return False
        has = commit.message
        said = (has.subject, has.timestamp, has.body)
        return said == (message.subject, message.timestamp, message.body) and bool(
            metadata_of(self, commit).equal(commit_metadata(self, tree, message, base))
        )

    def write_commit(
        self, tree: Tree, message: Message, base: Base | None = None, parent: str | None = None
    ) -> str:
        """Store the commit of a tree that a transaction has written; its checksum.

        With a base the commit has the base's metadata besides.
        """
        if self._loose is not None:
            raise RuntimeError("a commit must not be written beside the files that it names")
        metadata = commit_metadata(self, tree, message, base)
        subject, body, time = message.subject, message.body, message.timestamp
        with faults("writing the commit"):
            _, checksum = self.handle.write_commit_with_time(
                parent, subject, body, metadata, tree.written(), time, None
            )
        return str(checksum)

    def delete_commit(self, checksum: str) -> None:
        """Forget a commit that no ref needs; what only it named is for `ostree prune`."""
        with faults(f"deleting commit {checksum}"):
            self.handle.delete_object(OSTree.ObjectType.COMMIT, checksum, None)

    def delete_ref(self, ref: str) -> None:
        """Remove the ref, at once; its commit stays until a prune."""
        with faults(f"deleting ref {ref}"):
            self.handle.set_ref_immediate(None, ref, None, None)

    def set_ref(self, ref: str, checksum: str) -> None:
        """Point the ref at the commit, when the transaction is committed."""
        self.handle.transaction_set_ref(None, ref, checksum)
