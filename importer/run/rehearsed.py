"""Compare the branches of a plan with their commits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.commit.branch_head import move
from importer.commit.message import branch_message
from importer.commit.release_message import has_release, is_onto, new_options
from importer.release.head import is_release, release_of
from importer.release.outcome import Difference
from importer.repo.commit_keys import FLATTEN, LAYER_IDS, STORE_WHITEOUTS
from layers.frozen import frozen
from layers.release.diff import compare
from layers.words import several

if TYPE_CHECKING:
    from importer.commit.plan import LayerPlan, PlannedBranch
    from importer.commit.target import Target
    from importer.repo.writer import Repo
    from layers.release.release import Release

# Keys that a commit lacks if its store has the default form.
_KIND = (LAYER_IDS, STORE_WHITEOUTS, FLATTEN)


@frozen
class Rehearsed:
    """A branch of a plan, and its part's layers.

    `moves` tells that the branch would get another commit. `change` is the line on what that
    changes, "" for a release or a new branch. `difference` compares a release with the branch's
    commit.
    """

    branch: PlannedBranch
    layers: LayerPlan
    moves: bool
    change: str = ""
    difference: Difference | None = None

    def line(self) -> str:
        branch = self.branch
        onto = f" onto {branch.base.commit.checksum}" if branch.base is not None else ""
        also = f", {several(len(branch.artifacts), 'artifact')}" if branch.artifacts else ""
        return f"commit {branch.name}: {several(len(branch.images), 'image')}{also}{onto}"


def rehearsed(target: Target, repo: Repo, branch: PlannedBranch, layers: LayerPlan) -> Rehearsed:
    """Compare a planned branch with its commit.

    A branch of images is compared by its commit's metadata: the images, the time, the subject, the
    base, and the form, prefix and flattening of the store. What the metadata does not record, such
    as SELinux labels, is not compared.
    """
    if branch.release is None:
        message = branch_message(target, branch)
        change = move(branch.name, branch.head, message) if branch.head is not None else ""
        return Rehearsed(branch, layers, _is_new(target, branch), change)
    same = has_release(target, branch, branch.release) and not layers.missing
    difference = _difference(target, repo, branch, branch.release)
    return Rehearsed(branch, layers, not same, difference=difference)


def _difference(target: Target, repo: Repo, branch: PlannedBranch, release: Release) -> Difference:
    """Compare the branch's commit with the release."""
    head = branch.head
    return Difference(
        release,
        compare(release_of(repo, head, branch.name), release),
        new_base=head is not None and not is_onto(head, branch.base),
        new_options=new_options(head, target) if head is not None else (),
        first_release=head is not None and not is_release(head),
    )


def _is_new(target: Target, branch: PlannedBranch) -> bool:
    if branch.head is None:
        return True
    message = branch_message(target, branch)
    before, after = branch.head.metadata, dict(message.metadata)
    if any(before.get(key) != after.get(key) for key in {*after, *_KIND}):
        return True
    return replace(branch.head.message, metadata=()) != replace(message, metadata=())
