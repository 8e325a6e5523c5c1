"""Make a new commit's metadata: its own entries, and those of the commit that it is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.repo.commit_keys import OF_A_RELEASE, OURS
from importer.repo.libostree import GLib, faults
from layers.errors import within
from layers.frozen import frozen

if TYPE_CHECKING:
    from importer.repo.transaction import Transactions
    from importer.repo.values import Commit, Message, StoredTree

_OURS = (OURS, OF_A_RELEASE)
_REF_BINDING = "ostree.ref-binding"
_COMPOSEFS_DIGEST = "ostree.composefs.digest.v0"


@frozen
class Base:
    """A commit that another is made from, and the branch that the new one is for."""

    commit: Commit
    branch: str


def commit_metadata(
    repo: Transactions, tree: StoredTree, message: Message, base: Base | None
) -> GLib.Variant:
    """Return the metadata of a new commit of this stored tree, an `a{sv}`."""
    inherited = _inherited(repo, tree, base) if base is not None else {}
    own = {key: GLib.Variant("s", value) for key, value in message.metadata}
    # An own entry replaces an inherited one, and stands at its own place in the order: the checksum
    # depends on the order.
    kept = {key: value for key, value in inherited.items() if key not in own}
    return GLib.Variant("a{sv}", kept | own)


def _inherited(repo: Transactions, tree: StoredTree, base: Base) -> dict[str, GLib.Variant]:
    """Return the base's metadata, byte for byte, except entries about the base's own tree or ref,
    which would be wrong for the new commit."""
    entries = _entries(metadata_of(repo, base.commit))
    entries.pop("ostree.sizes", None)
    if _REF_BINDING in entries:
        # `ostree pull` refuses a commit that is bound to other refs (ostree-repo-pull.c,
        # `_ostree_repo_verify_bindings`).
        entries[_REF_BINDING] = GLib.Variant("as", [base.branch])
    if _COMPOSEFS_DIGEST in entries:
        entries[_COMPOSEFS_DIGEST] = _composefs_digest(repo, tree)
    return {key: value for key, value in entries.items() if not key.startswith(_OURS)}


def metadata_of(repo: Transactions, commit: Commit) -> GLib.Variant:
    """Return the metadata of a commit of the repo, an `a{sv}`."""
    with faults(f"reading commit {commit.checksum}"):
        _, variant, _ = repo.handle.load_commit(commit.checksum)
    return variant.get_child_value(0)


def _composefs_digest(repo: Transactions, tree: StoredTree) -> GLib.Variant:
    digest = GLib.VariantDict.new(None)
    computing = faults("computing the composefs digest, which the base commit has")
    with within(hint="run this where ostree is built with composefs"), computing:
        repo.handle.commit_add_composefs_metadata(0, digest, repo.stored_root(tree), None)
    return digest.lookup_value(_COMPOSEFS_DIGEST, None)


def _entries(metadata: GLib.Variant) -> dict[str, GLib.Variant]:
    """Return the values of an `a{sv}` unchanged, by key, in their order."""
    children = (metadata.get_child_value(n) for n in range(metadata.n_children()))
    return {
        child.get_child_value(0).get_string(): child.get_child_value(1).get_variant()
        for child in children
    }
