"""Commit images, whose layers are in the repo, to a branch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from importer.cache.layer import LayerCommit
from importer.commit.base_tree import BaseTree, find_base
from importer.commit.branch_head import losses
from importer.commit.contents import Contents, kept_store
from importer.commit.result import StoreCommit
from importer.commit.selinux import Labels
from importer.commit.signing import sign
from importer.commit.target import Form, Target
from importer.commit.time import newest, older, tell_future
from importer.commit.whiteouts import changes
from importer.repo import commit_keys as key
from importer.repo.given_names import names_metadata
from importer.repo.values import Message
from importer.repo.writer import Repo
from importer.store.writer import check_records
from layers.oci.creatable import doubts
from layers.storage.store_id import LayerIds, StoreKind, Whiteouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.commit.plan import PlannedBranch
    from importer.progress import Progress
    from importer.repo.commit_metadata import Base
    from importer.repo.tree import Tree
    from layers.storage.image import Image


_log = logging.getLogger(__name__)
# The trees of so many branches are in memory at once: some kilobytes each.
_TOGETHER = 64


def commit_images(
    target: Target,
    repo: Repo,
    branches: Sequence[PlannedBranch],
    layers: Mapping[str, LayerCommit],
    progress: Progress,
) -> tuple[StoreCommit, ...]:
    """Commit each branch's images; `layers` has the commit of every layer id.

    Return no commit where only the layers are wanted.
    """
    if target.form is Form.LAYERS:
        repo.sync()  # the names of the layers' branches
        return ()
    for branch in branches if target.timestamp is None else ():
        time = newest(branch.images, branch.base, branch.head)
        tell_future(branch.images, time, progress)
    for branch in branches:
        tell_doubts(branch.images, progress)
    images = _images(target, repo, branches, progress)
    stores = tuple(
        store
        for some in batched(branches, _TOGETHER)
        for store in _commit(target, repo, some, images, layers)
    )
    for message in dict.fromkeys(one for store in stores for one in store.messages):
        progress.message(message)
    return stores


def tell_doubts(images: Iterable[Image], progress: Progress) -> None:
    """Report images that podman lists, and cannot create a container of."""
    for image in images:
        for doubt in doubts(image.config):
            text = f"{image.reference}: podman cannot create a container of it: {doubt}"
            progress.message(text)


def _images(
    target: Target, repo: Repo, branches: Sequence[PlannedBranch], progress: Progress
) -> Mapping[str, Sequence[Image]]:
    """Return the images to commit by their branches, flattened where wanted."""
    images = {branch.name: branch.images for branch in branches}
    if not target.flatten:
        return images
    from importer.cache.flattened import NO_EXPORT
    from importer.commit.flatten_images import flattened_images

    progress.message(NO_EXPORT)
    return flattened_images(target, repo, images)


def check_target(target: Target, repo: Repo, onto: str | None, branch: str) -> Base | None:
    """Return the commit of the operating system that the store goes into, None without `onto`.

    Raise ImporterError for faults that do not depend on the images: a base, a policy or a
    configuration that cannot be read, a base with a store or a file in the way. The repo is only
    read.
    """
    base = find_base(repo, onto, branch)
    if base is None and target.labelling.policy is None:
        return None
    Labels.wanted(repo, target.labelling, base)
    tree = BaseTree(repo, base)
    tree.check_directory(target.prefix)
    present = kept_store(target, tree.before(target.prefix))
    if target.flatten:  # else the base's own store is converted; see `importer.commit.whiteouts`
        tree.check_whiteouts(present)
    if present is not None:
        check_records(present)
    if target.storage_conf:
        from importer.commit.storage_conf import storage_conf

        storage_conf(tree, target.prefix)
    if target.crio_conf:
        from importer.commit.crio_conf import made_crio_conf

        repair = target.crio_internal_repair
        made_crio_conf(tree, (), internal_repair=repair)
    return base


@dataclass(frozen=True, slots=True)
class _Draft:
    """A branch's commit: its tree is written. `unchanged` tells that the branch has just this one
    already."""

    branch: PlannedBranch
    contents: Contents
    tree: Tree
    message: Message
    unchanged: bool

    @property
    def head(self) -> str | None:
        """Return the branch's present commit."""
        return self.branch.head.checksum if self.branch.head is not None else None


def _commit(
    target: Target,
    repo: Repo,
    branches: Sequence[PlannedBranch],
    images: Mapping[str, Sequence[Image]],
    layers: Mapping[str, LayerCommit],
) -> list[StoreCommit]:
    """Commit the images of these branches together, but for branches that have just that already.
    `images` are those of each branch with the layers that the store has.

    A commit has no parent: it is a function of the images and of the base, not of what was
    imported before. The disk is synced three times, however many branches there are.
    """
    with repo.locked():
        contents = [
            Contents(target, repo, images[branch.name], branch.base, layers, branch.kind)
            for branch in branches
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
    message, base = image_message(target, branch), branch.base
    tree = contents.tree()
    tree.write()
    head = branch.head
    same = head is not None and repo.is_commit(head, tree, message, base)
    return _Draft(branch, contents, tree, message, same)


def _write_commits(target: Target, repo: Repo, drafts: Sequence[_Draft]) -> dict[str, str]:
    """Write the commits and set their branches, all or none. Return the commits by branch."""
    made = {}
    with repo.transaction():
        for draft in drafts:
            name = draft.branch.name
            made[name] = repo.write_commit(draft.tree, draft.message, draft.branch.base)
            sign(repo, made[name], target.signing)
            repo.move_branch(name, draft.head, made[name])
            _log.debug("branch %s: commit %s", name, made[name])
    return made


def _result(draft: _Draft, made: str | None) -> StoreCommit:
    """Return the result of a branch, whose new commit is `made`, if there is one."""
    branch, contents = draft.branch, draft.contents
    ids, added = contents.store_ids, contents.added_entries
    told = (
        *losses(branch.name, branch.head, draft.message),
        *older(branch.name, branch.head, draft.message.timestamp),
        *changes(branch.name, branch.head, branch.kind),
    )
    messages = (*(told if made is not None else ()), *contents.messages)
    commit = made or draft.head or ""
    return StoreCommit(branch.name, commit, made is None, branch.images, ids, added, messages)


def image_message(target: Target, branch: PlannedBranch) -> Message:
    """Return what a commit of the branch's images says."""
    images, base = branch.images, branch.base
    time = target.timestamp
    # `layers.storage.stated_image` reads them.
    lines = sorted({f"{image.reference} {image.digest}" for image in images})
    given = _given_names(images)
    return Message(
        target.subject if target.subject is not None else default_subject(sorted(given)),
        newest(images, base, branch.head) if time is None else time,
        "\n".join(lines),
        tuple(sorted((facts(target, base, branch.kind) | names_metadata(given)).items())),
    )


def _given_names(images: Iterable[Image]) -> dict[str, list[str]]:
    """Return the names that the user gave the images, by reference."""
    given: dict[str, list[str]] = {}
    for image in images:
        names = given.setdefault(str(image.reference), [])
        names += [str(image.name)] if image.name is not None else []
    return given


def default_subject(references: Sequence[str]) -> str:
    """Return the subject of a commit of these images."""
    if not references:
        return "no images"
    more = f" and {len(references) - 1} more" if len(references) > 1 else ""
    return references[0] + more


def facts(target: Target, base: Base | None, kind: StoreKind) -> dict[str, str]:
    """Return the metadata that says how the commit was made."""
    found = {key.FORM: target.form.value}
    if target.form is Form.STORE:
        found[key.PREFIX] = target.prefix
        if kind.ids is LayerIds.PRIVATE:
            found[key.LAYER_IDS] = kind.ids.value
        if kind.whiteouts is Whiteouts.NONE:
            found[key.STORE_WHITEOUTS] = kind.whiteouts.value
    if base is not None:
        found[key.BASE] = base.commit.checksum
    if target.flatten:
        found[key.FLATTEN] = "true"
    return found
