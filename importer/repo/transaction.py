"""A transaction of a repo: trees and commits are written and refs set, all of it or nothing."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.repo.commit_metadata import commit_metadata, metadata_of
from importer.repo.libostree import Gio, GLib, OSTree, faults
from importer.repo.object_store import ObjectStore
from importer.repo.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit, Message, StoredTree
    from layers.entry import Owner

_log = logging.getLogger(__name__)
# How often a transaction that others are in the way of is begun anew; once is nearly always enough.
_PREPARATIONS = 100


class Transaction:
    """A transaction that is under way."""

    def __init__(self) -> None:
        self.abandoned = False

    def abandon(self) -> None:
        """End without a commit: there is nothing to keep."""
        self.abandoned = True


class Transactions(ObjectStore):
    """A repo with one transaction at a time."""

    def __init__(self, path: Path, handle: OSTree.Repo) -> None:
        super().__init__(path, handle)
        # The commits before and after this transaction, of each ref that it sets.
        self._refs: dict[str, tuple[str | None, str]] = {}

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at the end, abort on any error; several threads may write meanwhile.

        Files are moved into place after libostree has synced the disk, so a commit that names
        them has to be written in a later transaction.
        """
        self._refs = {}
        with faults(f"preparing to write to repo {self.path}"):
            self._prepare()
        transaction = Transaction()
        try:
            with self._aborted_on_error():
                yield transaction
                if not transaction.abandoned:
                    self._commit()
            if transaction.abandoned:
                self._abort()
            else:
                self.publish()
        finally:
            self.discard()

    def _commit(self) -> None:
        try:
            with faults("committing the transaction"):
                _, stats = self.handle.commit_transaction(None)
        except ImporterError as error:
            try:
                self._move_back()
            except ImporterError as another:
                error.message += f"; then {another.message}"
            raise
        self.written_bytes += stats.content_bytes_written

    def _abort(self) -> None:
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
        """Move back the refs that libostree has moved before its commit failed.

        It writes them one after the other, and the repo's mtime behind each
        (ostree-repo-refs.c, `_ostree_repo_write_ref`).
        """
        for ref, (before, after) in self._refs.items():
            if before != after and self.resolve(ref) == after:
                with faults(f"moving back branch {ref}"):
                    self.handle.set_ref_immediate(None, ref, before, None)

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

    def tree(self, owner: Owner | str) -> Tree:
        """Return an empty root directory for a commit."""
        return Tree(self, OSTree.MutableTree.new(), owner)

    def tree_of(self, stored: StoredTree) -> Tree:
        """Return a root directory that begins as the stored one; unchanged parts are not read."""
        with faults(f"reading directory {stored.contents}"):
            mtree = OSTree.MutableTree.new_from_checksum(self.handle, stored.contents, stored.meta)
        return Tree(self, mtree, None)

    def is_commit(self, commit: Commit, tree: Tree, message: Message, base: Base | None) -> bool:
        """Return whether `write_commit` would write this very commit."""
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
        """Store the commit of a tree that an earlier transaction has written. Return its checksum.

        With a base, the commit has the base's metadata as well.
        """
        if self.has_unpublished:
            raise RuntimeError("a commit must not be written beside the files that it names")
        metadata = commit_metadata(self, tree, message, base)
        subject, body, time = message.subject, message.body, message.timestamp
        with faults("writing the commit"):
            _, checksum = self.handle.write_commit_with_time(
                parent, subject, body, metadata, tree.written(), time, None
            )
        return str(checksum)

    def set_ref(self, ref: str, checksum: str) -> None:
        """Point the ref at the commit, when the transaction is committed."""
        self._refs[ref] = self.resolve(ref), checksum
        self.handle.transaction_set_ref(None, ref, checksum)
