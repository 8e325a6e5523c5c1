"""Find the stores of a repo's branches, and the commit of a store in a container image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.cache.branches import is_cache
from importer.store.reader import NoStoreError, StoreView, open_store
from layers.document import mapping, parse_document, string
from layers.errors import Fault
from layers.oci.derive import STORE_COMMIT

if TYPE_CHECKING:
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.storage.image import Image


@dataclass(frozen=True, slots=True)
class Skipped:
    """A branch that was skipped."""

    branch: str  # the branch
    reason: str  # why it was skipped
    broken: bool  # whether it has a store whose records cannot be read


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of a repo."""

    found: tuple[StoreView, ...]
    skipped: tuple[Skipped, ...]


def find_stores(
    repo: Repo, branches: tuple[str, ...], prefix: str | None, *, broken: bool = False
) -> Stores:
    """Find the stores of these branches, or of all branches if none are given.

    Of all branches, those without a store are skipped, and so are those with unreadable records
    unless `broken` is true. Branches of the cache are ignored.
    """
    if branches:
        return Stores(tuple(open_store(repo, branch, prefix) for branch in branches), ())
    stores: list[StoreView] = []
    skipped: list[Skipped] = []
    for branch in repo.refs():
        if is_cache(branch):
            continue
        try:
            store = open_store(repo, branch, prefix)
            _ = broken or store.images
            stores.append(store)
        except Fault as error:
            skipped.append(Skipped(branch, str(error), not isinstance(error, NoStoreError)))
    return Stores(tuple(stores), tuple(skipped))


def embedded_commit(repo: Repo, image: Image) -> Commit | None:
    """Return the commit whose store was embedded, or None if the repo has not the whole of it."""
    document = parse_document(image.manifest.raw, "the manifest")
    annotations = mapping(document, "annotations", "the manifest", {})
    checksum = string(annotations, STORE_COMMIT, "the manifest's annotations", "")
    if not checksum or not repo.exists("commit", checksum):
        return None
    commit = repo.commit(checksum)
    return None if commit.partial else commit
