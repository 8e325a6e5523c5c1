"""The changes that a release's commit makes: for readers of the report, and for devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.cache.branches import is_cache
from importer.release.head import layers_of, release_of
from importer.repo.commit_keys import is_ours
from importer.repo.reachable import ancestors, fetch_cost
from importer.store.lost import Lost, find_lost
from importer.store.reader import NoStoreError, open_store
from layers.release.diff import compare, compare_layers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.commit.commit_branches import BranchCommit
    from importer.repo.reachable import Fetch
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.release.diff import LayerDiff, LayerSize, ReleaseDiff
    from layers.release.release import Release


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """The changes that a release's commit makes on its branch.

    `sizes` are those of its layers by id. `dropped` are the commits that --keep deleted. `device`
    is what a device with the branch's last commit fetches for the new one, None if there is no last
    commit or it is the same. `lost` are the images and layers that only the last commit has.
    """

    release: Release
    diff: ReleaseDiff
    layers: LayerDiff
    sizes: Mapping[str, LayerSize]
    dropped: tuple[str, ...]
    device: Fetch | None
    lost: Lost


def release_outcome(
    repo: Repo, made: BranchCommit, release: Release, keep: int | None
) -> ReleaseOutcome:
    """Compare a release's commit with the branch's last one. Then delete all older commits but
    `keep`; None deletes none."""
    branch, head = made.branch, made.branch.head
    sizes = layers_of(repo, repo.commit(made.checksum))
    # Before the old commit may be dropped.
    lost = _lost(repo, head, made)
    device = None
    if head is not None and not made.unchanged:
        device = fetch_cost(repo, head, repo.commit(made.checksum))
    return ReleaseOutcome(
        release,
        compare(release_of(repo, head, branch.name), release),
        compare_layers(layers_of(repo, head), sizes),
        sizes,
        drop_older(repo, branch.name, keep) if keep is not None else (),
        device,
        lost,
    )


def _lost(repo: Repo, head: Commit | None, made: BranchCommit) -> Lost:
    """Return the images and layers that the new commit lacks and the branch's last commit has."""
    if made.unchanged:
        return Lost((), ())
    new = open_store(repo, made.checksum, None)
    try:
        old = open_store(repo, head.checksum, None) if head is not None else None
    except NoStoreError:
        old = None
    return find_lost(old, new)


def drop_older(repo: Repo, branch: str, keep: int) -> tuple[str, ...]:
    """Delete the branch's commits of ours except the last `keep`, unless another ref leads to them.

    Return their checksums. The next `image-store prune` or `ostree prune` deletes their objects.
    """
    with repo.locked():
        history = list(ancestors(repo, repo.resolve(branch)))
        old = [commit.checksum for commit in history[keep:] if is_ours(commit)]
        needed = _needed_by_others(repo, branch) if old else set()
        dropped = tuple(checksum for checksum in old if checksum not in needed)
        for checksum in reversed(dropped):
            repo.delete_commit(checksum)
    return dropped


def _needed_by_others(repo: Repo, branch: str) -> set[str]:
    return {
        commit.checksum
        for ref, checksum in repo.refs().items()
        if ref != branch and not is_cache(ref)
        for commit in ancestors(repo, checksum)
    }
