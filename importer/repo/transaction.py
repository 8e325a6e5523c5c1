"""A transaction of a repo: trees and commits are written and refs set, all of it or nothing."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from importer.errors import ImporterError
from importer.files.descriptors import held
from importer.files.scratch import OPEN_DIRECTORY
from importer.repo.commit_metadata import commit_metadata, metadata_of
from importer.repo.libostree import OSTree, faults
from importer.repo.object_store import ObjectStore
from importer.repo.staging import clear_abandoned_objects
from importer.repo.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.repo.commit_metadata import Base
    from importer.repo.libostree import Gio
    from importer.repo.values import Commit, Message, StoredTree
    from layers.entry import Owner

_log = logging.getLogger(__name__)


class Transaction:
    """A transaction that is under way."""

    def __init__(self) -> None:
        self.abandoned = False

    def abandon(self) -> None:
        """End without a commit: there is nothing to keep."""
        self.abandoned = True


class _Move(NamedTuple):
    """The commits of a ref before and after a transaction. With `only`, a ref that another process
    has moved meanwhile stays as it is."""

    before: str | None
    after: str
    only: bool


class Transactions(ObjectStore):
    """A repo with one transaction at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._moves: dict[str, _Move] = {}

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at the end, abort on any error; several threads may write meanwhile.

        Files are moved into place after the disk is synced, so a commit that names them has to be
        written in a later transaction, which sets the refs.
        """
        self._moves = {}
        clear_abandoned_objects(self.path)
        transaction = Transaction()
        try:
            with self.locked(), self._aborted_on_error():
                yield transaction
                if not transaction.abandoned:
                    self._commit()
            if transaction.abandoned:
                self._abort()
            else:
                self.publish()
        finally:
            self.discard()
            self._libostree = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock shared, which keeps `ostree prune` out.

        Objects that one transaction has written and a later one will refer to belong to no ref in
        between: without the lock, a prune could delete them.
        """
        with self._plain.locked() if self._plain is not None else nullcontext() as held:
            if not held:
                with faults(f"locking repo {self.path}"):
                    self.handle.lock_push(OSTree.RepoLockType.SHARED, None)
            try:
                yield
            finally:
                if not held:
                    self.handle.lock_pop(OSTree.RepoLockType.SHARED, None)

    def _commit(self) -> None:
        """Commit the objects, then set the refs."""
        self._by_libostree()
        with faults("committing the transaction"):
            self._commit_objects()
        if self._moves:
            with self.refs_locked():
                self._check_moves()
                self._set_refs()

    def _commit_objects(self) -> None:
        """Move libostree's objects to where readers look, after a sync of the file system.

        libostree would also sync each of the 256 directories of objects then, one by one
        (ostree-repo-commit.c, `fsync_object_dirs`), which takes up to a hundred times as long as
        to sync the file system. Only a ref needs durable names of objects: see `_set_refs`.
        """
        self.sync()
        was = self.handle.get_disable_fsync()
        self.handle.set_disable_fsync(True)
        try:
            _, stats = self.handle.commit_transaction(None)
        finally:
            self.handle.set_disable_fsync(was)
        self.written_bytes += stats.content_bytes_written

    @contextmanager
    def refs_locked(self) -> Iterator[None]:
        """Keep other processes of ours from moving branches meanwhile: libostree cannot move a ref
        from one commit to another."""
        with faults(f"locking the branches of repo {self.path}"):
            descriptor = os.open(self.path / "refs/heads", OPEN_DIRECTORY)
        with held(descriptor):
            with suppress(OSError):  # a file system without locks of directories, such as NFS
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def _check_moves(self) -> None:
        """Raise ImporterError if another process has moved a branch of this transaction."""
        for ref, move in self._moves.items():
            if move.only and self.resolve(ref) != move.after:
                self.check_head(ref, move.before)

    def check_head(self, branch: str, head: str | None) -> None:
        """Raise ImporterError if the branch has another commit than `head`; None is no commit."""
        if self.resolve(branch) != head:
            raise ImporterError(
                f"branch {branch} was committed to meanwhile",
                hint="it stays as it is now; run the command again",
            )

    def _set_refs(self) -> None:
        """Set the refs once the names of all objects are durable.

        libostree syncs a ref's file, and not its name (ostree-repo-refs.c,
        `_ostree_repo_write_ref`), so a branch's is synced here. Names of layers may get lost.
        """
        try:
            with faults("committing the transaction"):
                self.sync()
                for ref, move in self._moves.items():
                    self.handle.set_ref_immediate(None, ref, move.after, None)
                if any(move.only for move in self._moves.values()):
                    self.sync()
        except ImporterError as error:
            try:
                self._move_back()
            except ImporterError as another:
                error.message += f"; then {another.message}"
            raise

    def _abort(self) -> None:
        if self._libostree is not None:
            with faults("aborting the transaction"):
                self.handle.abort_transaction(None)

    @contextmanager
    def _aborted_on_error(self) -> Iterator[None]:
        """Abort on any error, and raise that error even if the disk does not let us abort: the
        next transaction clears away what is left."""
        try:
            yield
        except BaseException:
            try:
                self._abort()
            except ImporterError as another:
                _log.debug("after an error: %s", another)
            raise

    def _move_back(self) -> None:
        """Move back the refs that were set before one could not be.

        libostree writes a ref, and then the repo's mtime, which may fail behind a ref that is set
        (ostree-repo-refs.c, `_ostree_repo_write_ref`).
        """
        for ref, move in self._moves.items():
            if move.before != move.after and self.resolve(ref) == move.after:
                with faults(f"moving back branch {ref}"):
                    self.handle.set_ref_immediate(None, ref, move.before, None)

    def tree(self, owner: Owner | str) -> Tree:
        """Return an empty root directory for a commit."""
        return Tree(self, owner)

    def tree_of(self, stored: StoredTree) -> Tree:
        """Return a root directory that begins as the stored one; unchanged parts are not read."""
        return Tree(self, None, stored)

    def is_commit(
        self, commit: Commit, tree: StoredTree, message: Message, base: Base | None
    ) -> bool:
        """Return whether `write_commit` would write this very commit."""
        if (commit.contents, commit.meta) != (tree.contents, tree.meta):
            return False
        if replace(commit.message, metadata=message.metadata) != message:
            return False
        if base is None:
            return tuple(commit.metadata.items()) == message.metadata
        return bool(metadata_of(self, commit).equal(commit_metadata(self, tree, message, base)))

    def write_commit(
        self,
        tree: StoredTree,
        message: Message,
        base: Base | None = None,
        parent: str | None = None,
    ) -> str:
        """Store the commit of a tree that an earlier transaction has written. Return its checksum.

        With a base, the commit has the base's metadata as well.
        """
        if self.has_unpublished:
            raise RuntimeError("a commit must not be written beside the files that it names")
        self._by_libostree()
        metadata = commit_metadata(self, tree, message, base)
        subject, body, time = message.subject, message.body, message.timestamp
        with faults("writing the commit"):
            _, checksum = self.handle.write_commit_with_time(
                parent, subject, body, metadata, self.stored_root(tree), time, None
            )
        return str(checksum)

    def stored_root(self, tree: StoredTree) -> Gio.File:
        """Return the root of a tree as libostree wants it."""
        mtree = OSTree.MutableTree.new_from_checksum(self.handle, tree.contents, tree.meta)
        _, root = self.handle.write_mtree(mtree, None)
        return root

    def set_ref(self, ref: str, checksum: str) -> None:
        """Point the ref at the commit, when the transaction is committed."""
        self._moves[ref] = _Move(self.resolve(ref), checksum, only=False)

    def move_branch(self, branch: str, head: str | None, checksum: str) -> None:
        """Move the branch from its commit `head`, None if it is new, to another one, when the
        transaction is committed. That raises ImporterError if another process has moved it."""
        self._moves[branch] = _Move(head, checksum, only=True)
