"""Find and plan all images of a release, for import-release."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from importer.commit.branch_head import empty_branch
from importer.commit.contents import check_target
from importer.commit.plan import LayerPlanner, Plan, PlannedBranch, PlannedPart, check_names
from importer.release.head import latest_release, release_of
from importer.release.origin import release_branches
from importer.release.parts import opened_parts, resolve_all
from importer.repo.commit_keys import store_prefix
from importer.store.documents import StoredDocuments
from layers.errors import Fault
from layers.frozen import frozen
from layers.release.source_link import resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.commit.target import Target
    from importer.progress import Progress
    from importer.release.files import FilesToWrite
    from importer.release.origin import ReleaseOrigin
    from importer.release.parts import Part
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.release.release import Release


@frozen
class ReleaseSource:
    """A `Source`: the components of a release, a part for each architecture.

    `files` are checked before the first image is asked for.
    """

    origin: ReleaseOrigin
    files: FilesToWrite

    @contextmanager
    def planned(self, target: Target, repo: Repo, progress: Progress) -> Iterator[Plan]:
        """See `Source`. Raise ImporterError for wrong options, branches or files before the first
        image is resolved."""
        with opened_parts(self.origin, progress) as parts:
            releases = [part.release for part in parts]
            empty = _empty_branches(target, repo, releases)
            before = [release_of(repo, branch.head, branch.name) for branch in empty]
            self.files.check(releases, before)
            stored = _documents(repo, [branch.head for branch in empty], releases)
            yield Plan(
                tuple(
                    _part(target, repo, part, stored, branch)
                    for part, branch in zip(parts, empty, strict=True)
                )
            )


def _empty_branches(target: Target, repo: Repo, releases: Sequence[Release]) -> list[PlannedBranch]:
    """Return the releases' branches, before images are resolved."""
    names = release_branches(target, releases)
    return [
        empty_branch(target, repo, name, check_target(target, repo, onto, name), release)
        for (name, onto), release in zip(names, releases, strict=True)
    ]


def _documents(
    repo: Repo, heads: Sequence[Commit | None], releases: Sequence[Release]
) -> StoredDocuments:
    """Return the manifests and configs that the repo has: those of the branches' commits, or, for
    a new branch, those of the last release for the same architecture."""
    stored = StoredDocuments()
    for head, release in zip(heads, releases, strict=True):
        commit = head or latest_release(repo, release.arch)
        if commit is not None:
            stored.add(repo.root(commit), store_prefix(commit))
    return stored


def _part(
    target: Target, repo: Repo, part: Part, stored: StoredDocuments, branch: PlannedBranch
) -> PlannedPart:
    """Resolve a part's components, and find their layers."""
    components = part.release.components.values()
    images, faults = resolve_all(components, part.resolving(stored), target.budget.questions)
    planner = LayerPlanner(repo, target.layer_options.device_nodes)
    for name, image in images.items():
        try:
            planner.add(image)
        except Fault as fault:
            faults[name] = fault
    left = {name: image for name, image in images.items() if name not in faults}
    check_names(left.values())
    whole = replace(
        branch,
        images=tuple(left.values()),
        release=resolved(part.release, left),
        components=tuple(left),
        faults=faults,
    )
    return PlannedPart(part.blobs, whole.images, (whole,), planner.plan())
