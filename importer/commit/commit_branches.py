"""Commit images, whose layers are in the repo, to their branches."""

from __future__ import annotations

import logging
from contextlib import closing
from itertools import batched
from typing import TYPE_CHECKING

from importer.commit.branch_head import move
from importer.commit.contents import Contents
from importer.commit.message import branch_message, branch_time, older, tell_future
from importer.commit.signing import sign
from importer.commit.store_kind import changes
from importer.ingest.budget import Allowance
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.readable import doubts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from importer.cache.flattened import Flattened
    from importer.cache.layer import LayerCommit
    from importer.commit.plan import PlannedBranch
    from importer.commit.target import Target
    from importer.progress import Progress
    from importer.repo.values import Message
    from importer.repo.writer import Repo
    from layers.ostree.objects import Stored
    from layers.storage.image import Image

_log = logging.getLogger(__name__)
# The trees of so many branches are in memory at once: some kilobytes each.
_TOGETHER = 64


@frozen
class BranchCommit:
    """The commit of a branch; `unchanged` if the branch had just this one before.

    `parent` is None unless the commit is a release's, and not its branch's first. `store_ids` has
    the layers' ids in the store by their standard ids. `added_entries` counts the entries that a
    layer holds beside its own, by standard ids. `messages` are for the user.
    """

    branch: PlannedBranch
    checksum: str
    parent: str | None
    unchanged: bool
    store_ids: Mapping[str, str]
    added_entries: Mapping[str, int]
    messages: tuple[str, ...]


def commit_branches(
    target: Target,
    repo: Repo,
    branches: Sequence[PlannedBranch],
    layers: Mapping[str, LayerCommit],
    progress: Progress,
) -> tuple[BranchCommit, ...]:
    """Commit each branch's images; `layers` has the commit of every layer id."""
    if not branches:
        repo.sync()  # the names of the layers' branches
    for branch in branches if target.timestamp is None else ():
        tell_future(branch.named, branch_time(branch), progress)
    for branch in branches:
        _tell_doubts(branch.images, progress)
    images: Mapping[str, Sequence[Image]] = {branch.name: branch.stored for branch in branches}
    if target.flatten:
        images = _flattened(target, repo, images, progress)
    made = tuple(
        commit
        for some in batched(branches, _TOGETHER)
        for commit in _commit(target, repo, some, images, layers)
    )
    for message in dict.fromkeys(text for made_branch in made for text in made_branch.messages):
        progress.message(message)
    return made


def _tell_doubts(images: Iterable[Image], progress: Progress) -> None:
    """Report images that podman lists, and cannot create a container of."""
    for image in images:
        for doubt in doubts(image.config):
            text = f"{image.reference}: podman cannot create a container of it: {doubt}"
            progress.message(text)


def _flattened(
    target: Target, repo: Repo, branches: Mapping[str, Sequence[Image]], progress: Progress
) -> Mapping[str, Sequence[Image]]:
    """Return each branch's images, flattened; the keys are the branches.

    The images of all branches are read by `jobs` processes. Raise LayerError, with the image, if a
    flattened layer breaks the limits, or all of them together those of the call.
    """
    from importer.cache.flattened import NO_EXPORT, flattened

    progress.message(NO_EXPORT)
    allowance = Allowance(target.total)
    limits = allowance.left(target.layer_options).limits
    images = [image for group in branches.values() for image in group]
    with closing(flattened(repo, images, limits, target.budget.jobs)) as flat:
        return {
            name: _within_limits(target, group, flat, allowance) for name, group in branches.items()
        }


def _within_limits(
    target: Target, images: Sequence[Image], flat: Iterator[Flattened], allowance: Allowance
) -> list[Image]:
    """Take the flattened form of each image from `flat`. Raise LayerError if all that were taken
    are too large together."""
    own, taken = target.layer_options, []
    for image in images:
        left = allowance.left(own)
        try:
            flat_image = next(flat)
            allowance.take(flat_image.size, flat_image.entries)
            taken.append(flat_image.image)
        except LayerError as error:
            explained = allowance.explained(error, own, left)
            raise explained.within(digest=f"{image.reference}, flattened") from None
    return taken


@frozen
class _Draft:
    """A branch's commit: its tree is written. `unchanged` tells that the branch has just this one
    already."""

    branch: PlannedBranch
    contents: Contents
    tree: Stored
    message: Message
    unchanged: bool

    @property
    def head(self) -> str | None:
        return self.branch.head.checksum if self.branch.head is not None else None

    @property
    def parent(self) -> str | None:
        """Return the new commit's parent. Only a release has one: a commit of images is a function
        of the images and of the base, not of what was imported before."""
        return self.head if self.branch.release is not None else None


def _commit(
    target: Target,
    repo: Repo,
    branches: Sequence[PlannedBranch],
    images: Mapping[str, Sequence[Image]],
    layers: Mapping[str, LayerCommit],
) -> list[BranchCommit]:
    """Commit the images of these branches together, but for branches that have just that already.
    `images` are those of each branch with the layers that the store has.

    The trees are durable before a commit names them; see importer/cache/layer.py. The disk is
    synced three times, however many branches there are.
    """
    with repo.locked():
        contents = [
            Contents(target, repo, images[branch.name], branch, layers) for branch in branches
        ]
        with repo.transaction() as transaction:
            drafts = [_draft(target, repo, *each) for each in zip(branches, contents, strict=True)]
            if all(draft.unchanged for draft in drafts):
                transaction.abandon()
        changed = [draft for draft in drafts if not draft.unchanged]
        made = _write_commits(target, repo, changed) if changed else {}
        for draft in drafts:
            if draft.unchanged:
                repo.check_head(draft.branch.name, draft.head)
                sign(repo, draft.head or "", target.signing)
                _log.debug("branch %s has commit %s already", draft.branch.name, draft.head)
    return [_result(draft, made.get(draft.branch.name)) for draft in drafts]


def _draft(target: Target, repo: Repo, branch: PlannedBranch, contents: Contents) -> _Draft:
    """Write a branch's tree. Call within a transaction."""
    message = branch_message(target, branch)
    tree = contents.tree().write()
    return _Draft(branch, contents, tree, message, _is_head(target, repo, branch, tree, message))


def _is_head(
    target: Target, repo: Repo, branch: PlannedBranch, tree: Stored, message: Message
) -> bool:
    """Return whether the branch has its commit already."""
    head = branch.head
    if head is None or (head.contents, head.meta) != tree:
        return False
    if branch.release is not None:
        from importer.commit.release_message import has_release

        return has_release(target, branch, branch.release)
    return repo.is_commit(head, tree, message, branch.base)


def _write_commits(target: Target, repo: Repo, drafts: Sequence[_Draft]) -> dict[str, str]:
    """Write the commits and set their branches, all or none. Return the commits by branch."""
    made = {}
    with repo.transaction():
        for draft in drafts:
            name = draft.branch.name
            made[name] = repo.write_commit(
                draft.tree, draft.message, draft.branch.base, draft.parent
            )
            sign(repo, made[name], target.signing)
            repo.move_branch(name, draft.head, made[name])
            _log.debug("branch %s: commit %s", name, made[name])
    return made


def _result(draft: _Draft, made: str | None) -> BranchCommit:
    """Return the result of a branch, whose new commit is `made`, if there is one."""
    branch, contents = draft.branch, draft.contents
    news = () if made is None else _news(draft)
    return BranchCommit(
        branch,
        made or draft.head or "",
        draft.parent if made is not None else None,
        made is None,
        contents.store_ids,
        contents.added_entries,
        (*news, *contents.messages),
    )


def _news(draft: _Draft) -> tuple[str, ...]:
    """Return what to tell the user of a branch with a new commit."""
    branch, message = draft.branch, draft.message
    moved = [move(branch.name, branch.head, message)] if branch.release is None else []
    late = older(branch.name, branch.head, message.timestamp)
    return (*moved, *late, *changes(branch.name, branch.head, branch.kind))
