"""Find the stores of a repo's branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.cache.branches import is_cache
from importer.store.reader import NoStoreError, StoreView, open_store
from layers.errors import Fault

if TYPE_CHECKING:
    from importer.repo.writer import Repo


@dataclass(frozen=True, slots=True)
class Skipped:
    """A branch that was skipped, and why: it has no store, or a `broken` one."""

    branch: str
    reason: str
    broken: bool


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
    found: list[StoreView] = []
    skipped: list[Skipped] = []
    for branch in repo.refs():
        if is_cache(branch):
            continue
        try:
            store = open_store(repo, branch, prefix)
            _ = broken or store.images
            found.append(store)
        except Fault as error:
            broken = not isinstance(error, NoStoreError)
            skipped.append(Skipped(branch, str(error), broken))
    return Stores(tuple(found), tuple(skipped))
