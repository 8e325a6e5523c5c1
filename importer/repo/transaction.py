"""A transaction of a repo: trees and commits are written and refs set, all of it or nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.repo.commit_metadata import commit_metadata, metadata_of
from importer.repo.libostree import Gio, GLib, OSTree, faults
from importer.repo.object_store import ObjectStore
from importer.repo.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit, Message, StoredTree
    from layers.entry import Owner

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

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at the end, abort on any error; several threads may write meanwhile.

        Files are moved into place after libostree has synced the disk, so a commit that names
        them has to be written in a later transaction.
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
                self.publish()
        finally:
            if not committed:
                with faults("aborting the transaction"):
                    self.handle.abort_transaction(None)
            self.discard()

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
        self.handle.transaction_set_ref(None, ref, checksum)
