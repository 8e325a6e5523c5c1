"""The difference of a release to the one before, and the outcome of its import."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.cache.branches import is_cache
from importer.release.head import layers_of, release_of
from importer.repo.commit_keys import is_ours
from importer.repo.reachable import ancestors, fetch_cost
from importer.store.lost import Lost, find_lost
from importer.store.reader import NoStoreError, open_store
from layers.frozen import frozen
from layers.release.diff import compare, compare_layers
from layers.release.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.commit.commit_branches import BranchCommit
    from importer.repo.reachable import Fetch
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.errors import Fault
    from layers.release.diff import Amount, LayerDiff, LayerSize, ReleaseDiff
    from layers.release.release import Release


def release_names(release: Release) -> dict[str, object]:
    return {
        # the architecture, in Go's words (`amd64`, `arm64` …)
        "arch": release.arch or None,
        "release": release.name or None,  # the release's name
        "version": release.version or None,  # its version
    }


def fault_keys(fault: Fault) -> dict[str, object]:
    return {
        "error": str(fault),  # the error's line
        "hint": fault.hint or None,  # what to do
    }


@frozen
class Difference:
    """The difference of a release to an earlier one.

    `layers` compares their stores, and `device` is what a device with the earlier commit fetches;
    both are None unless two different commits have the releases. Of the branch's commit, `new_base`
    tells that it has another operating system than --onto now, `new_options` are options that it
    was made without, and `first_release` tells that another command made it.
    """

    release: Release
    diff: ReleaseDiff
    layers: LayerDiff | None = None
    device: Fetch | None = None
    new_base: bool = False
    new_options: tuple[str, ...] = ()
    first_release: bool = False

    def document(self) -> dict[str, object]:
        return {
            "unchanged": self.diff.is_empty,  # whether both have the same images
            **self.changes_keys(),
            # LayerDiff: counts of layers and the bytes of the unpacked tars, or `null` where one
            # side is not in the repo
            "layers": self.layers,
            # Fetch: what a device fetches, if both are commits of the repo; else `null`
            "device": self.device,
        }

    def changes_keys(self) -> dict[str, object]:
        return {
            **release_names(self.release),
            "old_release": self.diff.old or None,  # the name of the old release, or `null`
            "changes": self.diff,  # ReleaseDiff: what changed
        }

    def reasons_keys(self) -> dict[str, object]:
        return {
            # whether the operating system of `--onto` has another commit
            "new_base": self.new_base,
            # the options whose values differ from the branch's commit
            "new_options": self.new_options,
            # whether another command made the commit that is on the branch
            "first_release": self.first_release,
        }

    def report(
        self,
        amounts: Mapping[str, Amount] | None = None,
        failed: Mapping[str, str] | None = None,
        lost: Sequence[str] = (),
    ) -> Report:
        """Return the report for people. `amounts` are the layers by what became of them, by default
        those that differ. `failed` has errors by component. `lost` are artifacts that the branch
        had."""
        besides = {
            "another operating system": self.new_base,
            f"other values of {', '.join(self.new_options)}": self.new_options,
            "the branch's first release": self.first_release,
            f"artifacts no longer there: {', '.join(lost)}": lost,
        }
        return Report(
            self.diff,
            self.release.arch,
            self._amounts() if amounts is None else amounts,
            failed or {},
            tuple(text for text, is_so in besides.items() if is_so),
            str(self.device or ""),
        )

    def _amounts(self) -> dict[str, Amount]:
        if self.layers is None:
            return {}
        return {
            "new in the release": self.layers.new,
            "kept": self.layers.kept,
            "no longer needed": self.layers.obsolete,
        }


@frozen
class ReleaseOutcome:
    """The changes that a release's commit makes on its branch.

    `difference` and `layers` compare it with the branch's last commit. `sizes` are those of the new
    commit's layers by id. `dropped` are the commits that --keep deleted. `lost` are the images,
    layers and artifacts that only the last commit has.
    """

    difference: Difference
    layers: LayerDiff
    sizes: Mapping[str, LayerSize]
    dropped: tuple[str, ...]
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
    difference = Difference(release, compare(release_of(repo, head, branch.name), release))
    if head is not None and not made.unchanged:
        cost = fetch_cost(repo, head, repo.commit(made.checksum))
        difference = replace(difference, device=cost)
    layers = compare_layers(layers_of(repo, head), sizes)
    dropped = drop_older(repo, branch.name, keep) if keep is not None else ()
    return ReleaseOutcome(difference, layers, sizes, dropped, lost)


def _lost(repo: Repo, head: Commit | None, made: BranchCommit) -> Lost:
    """Return what the branch's last commit has and the new commit lacks."""
    if made.unchanged:
        return Lost((), (), ())
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
