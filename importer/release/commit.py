"""Commit a release: a store of its images, with the last release's commit as parent."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from importer.cache.branches import RELEASE, is_cache, release_branch
from importer.commit.contents import Contents
from importer.commit.images import facts
from importer.commit.signing import sign
from importer.commit.time import newest, older
from importer.commit.whiteouts import changes
from importer.release.recorded_options import new_options, options_metadata
from importer.repo.commit_keys import BASE, is_ours, store_prefix
from importer.repo.reachable import ancestors
from importer.repo.values import Commit, Message
from importer.repo.writer import Repo
from layers.document import MAX_RECORDS_SIZE
from layers.release.commit_metadata import images_release, layer_sizes, metadata, stored_release
from layers.release.diff import compare
from layers.release.source_link import labelled_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.cache.layer import LayerCommit
    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.tree import Tree
    from layers.release.diff import LayerSize
    from layers.release.release import Component, Release
    from layers.storage.image import Image
    from layers.storage.store_id import StoreKind


@dataclass(frozen=True, slots=True)
class Draft:
    """A release to commit.

    `head` is the branch's present commit, `base` the operating system's commit below, each None
    if there is none. `kind` is the kind of the store. `images` are by component, `layers` are their
    layers' commits by layer id. `kept` are images of earlier releases.
    """

    branch: str
    base: Base | None
    head: Commit | None
    kind: StoreKind
    release: Release
    images: Mapping[str, Image]
    layers: Mapping[str, LayerCommit]
    kept: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseCommit:
    """A branch's commit; `parent` is None if the commit is unchanged or the branch's first."""

    checksum: str
    parent: str | None
    unchanged: bool
    store_ids: Mapping[str, str]
    added_entries: Mapping[str, int]
    messages: tuple[str, ...] = ()


def resolved(release: Release, images: Mapping[str, Image]) -> Release:
    """Return the release with only the components that have an image, pinned to its digest.

    If the sources give neither repository nor commit of a component, its image's labels do.
    """
    found = {
        name: _labelled(component, images[name]).at(images[name].digest)
        for name, component in release.components.items()
        if name in images
    }
    return replace(release, components=found)


def _labelled(component: Component, image: Image) -> Component:
    if component.source or component.commit:
        return component
    source, commit = labelled_source(image.config)
    return replace(component, source=source, commit=commit)


def commit_releases(target: Target, repo: Repo, drafts: Sequence[Draft]) -> list[ReleaseCommit]:
    """Commit all drafts and move their refs in one transaction. A branch that has its release
    already keeps its commit.

    The trees are durable before a commit names them; see importer/cache/layer.py.
    """
    with repo.locked():
        trees = [_Tree.written(target, repo, draft) for draft in drafts]
        # Where there is nothing to commit, a transaction would only sync the disk.
        with repo.transaction() if any(one.tree for one in trees) else nullcontext():
            return [_commit(target, repo, tree) for tree in trees]


@dataclass(frozen=True, slots=True)
class _Tree:
    """A draft and its stored `tree`, None if the branch has that release already."""

    draft: Draft
    base: Base | None
    tree: Tree | None
    store_ids: Mapping[str, str]
    added_entries: Mapping[str, int]
    messages: tuple[str, ...] = ()

    @classmethod
    def written(cls, target: Target, repo: Repo, draft: Draft) -> _Tree:
        base = draft.base
        images: Sequence[Image] = [*draft.images.values(), *draft.kept]
        if target.flatten:
            from importer.commit.flatten_images import flattened_images

            images = flattened_images(target, repo, {draft.branch: images})[draft.branch]
        contents = Contents(target, repo, images, base, draft.layers, draft.kind)
        with repo.transaction() as transaction:
            tree = contents.tree()
            if _is_head(target, draft, tree.write(), base):
                transaction.abandon()
        changed = None if transaction.abandoned else tree
        ids, added = contents.store_ids, contents.added_entries
        return cls(draft, base, changed, ids, added, tuple(contents.messages))


def _is_head(target: Target, draft: Draft, checksums: tuple[str, str], base: Base | None) -> bool:
    """Return whether the branch's commit has this tree, release, base and options.

    Releases with the same components count as the same, whatever their names.
    """
    head = draft.head
    if head is None or (head.contents, head.meta) != checksums:
        return False
    stored = stored_release(head.metadata, head.checksum)
    same = stored is not None and compare(stored, draft.release).is_empty
    return same and is_onto(head, base) and not new_options(head, target)


def is_onto(commit: Commit, base: Base | None) -> bool:
    """Return whether the commit was made from this base; for None, from none."""
    return commit.metadata.get(BASE) == (base.commit.checksum if base else None)


def _commit(target: Target, repo: Repo, written: _Tree) -> ReleaseCommit:
    draft, tree = written.draft, written.tree
    head = draft.head.checksum if draft.head else None
    if tree is None:
        repo.check_head(draft.branch, head)
        sign(repo, head or "", target.signing)
        ids, added = written.store_ids, written.added_entries
        return ReleaseCommit(head or "", None, True, ids, added, written.messages)
    message = _message(target, draft, written.base)
    checksum = repo.write_commit(tree, message, written.base, head)
    sign(repo, checksum, target.signing)
    repo.move_branch(draft.branch, head, checksum)
    messages = (
        *older(draft.branch, draft.head, message.timestamp),
        *changes(draft.branch, draft.head, draft.kind),
        *written.messages,
    )
    ids, added = written.store_ids, written.added_entries
    return ReleaseCommit(checksum, head, False, ids, added, messages)


def _message(target: Target, draft: Draft, base: Base | None) -> Message:
    release = draft.release
    return Message(
        release_subject(release, draft.branch) if target.subject is None else target.subject,
        commit_time(draft) if target.timestamp is None else target.timestamp,
        release_body(release),
        release_metadata(release, facts(target, base, draft.kind) | options_metadata(target)),
    )


def release_metadata(release: Release, how: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a release's commit; `how` are the `commit.facts` of its making."""
    said = dict(metadata(release)) | how
    if BASE in said:
        said.pop("version", None)  # `version` is then the operating system's
    return tuple(sorted(said.items()))


def release_subject(release: Release, branch: str) -> str:
    """Return the default subject of a release's commit."""
    name = release.name or release.version or branch
    return f"{name} ({release.arch}), {len(release.components)} images"


def release_body(release: Release) -> str:
    """Return one line for each component."""
    return "\n".join(sorted(f"{one.name} {one.pullspec}" for one in release.components.values()))


def commit_time(draft: Draft) -> int:
    """Return the commit's time, in seconds since 1970: never before the parent's, since devices
    refuse an older commit."""
    parent = draft.head.message.timestamp if draft.head else 0
    return max(newest(draft.images.values(), draft.base, None), parent)


def latest_release(repo: Repo, arch: str) -> Commit | None:
    """Return the newest commit on a release's default branch for this architecture."""
    suffix = release_branch("", arch).rpartition("/")[2]
    found = [
        repo.commit(checksum)
        for ref, checksum in repo.refs().items()
        if ref.startswith(f"{RELEASE}/") and ref.endswith(f"/{suffix}")
    ]
    return max(found, key=lambda one: one.message.timestamp, default=None)


def release_of(repo: Repo, commit: Commit | None, name: str) -> Release | None:
    """Return the release that a commit holds; `name` is the commit's name in errors.

    For a commit that import-release did not make, the components are its store's images. Return
    None if the commit is None or has no store.
    """
    if commit is None:
        return None
    found = stored_release(commit.metadata, name)
    if found is not None:
        return found
    raw = _record(repo, commit, "overlay-images", "images.json")
    return images_release(raw, name) if raw is not None else None


def is_release(commit: Commit) -> bool:
    """Return whether import-release made the commit."""
    return stored_release(commit.metadata, commit.checksum) is not None


def layers_of(repo: Repo, commit: Commit | None) -> dict[str, LayerSize]:
    """Return the layers in a commit's store, by id."""
    raw = _record(repo, commit, "overlay-layers", "layers.json") if commit else None
    return layer_sizes(raw, commit.checksum) if raw and commit else {}


def _record(repo: Repo, commit: Commit, directory: str, name: str) -> bytes | None:
    found = repo.root(commit).find(f"{store_prefix(commit).strip('/')}/{directory}")
    return found.read(name, MAX_RECORDS_SIZE) if found else None


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


def _history(repo: Repo, checksum: str | None) -> list[str]:
    return [commit.checksum for commit in ancestors(repo, checksum)]


def _needed_by_others(repo: Repo, branch: str) -> set[str]:
    needed: set[str] = set()
    for ref, checksum in repo.refs().items():
        if ref != branch and not is_cache(ref):
            needed.update(_history(repo, checksum))
    return needed
