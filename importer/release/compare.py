"""Compare two releases for --diff; nothing is imported."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from importer.cache.branches import why_no_branch
from importer.commit.branch_head import head_of
from importer.errors import ImporterError
from importer.files.presence import is_present
from importer.release.head import layers_of, release_of
from importer.release.outcome import Difference
from importer.release.parts import opened_parts
from importer.release.source_name import SourceName, is_source
from importer.repo.reachable import fetch_cost
from importer.repo.writer import Repo
from layers.frozen import frozen
from layers.release.diff import compare, compare_layers
from layers.release.report import plain

if TYPE_CHECKING:
    from pathlib import Path

    from importer.progress import Progress
    from importer.release.origin import ReleaseOrigin
    from importer.repo.values import Commit
    from layers.release.release import Release
    from layers.release.report import Report

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
# `REV^`, `REV^^`: a commit's ancestors in ostree's notation; no image's reference ends in `^`.
_ANCESTOR = re.compile(r"(.+?)(\^+)")
# `REMOTE:BRANCH`: a branch that was pulled from a remote, in ostree's notation.
_PULLED = re.compile(r"[^/:]+:([^:]+)")


@frozen
class DiffResult:
    """The result of --diff."""

    difference: Difference

    @property
    def unchanged(self) -> bool:
        return self.difference.diff.is_empty

    def document(self) -> dict[str, object]:
        return {
            "unchanged": self.unchanged,  # whether both have the same images
            "releases": [self.difference],  # [Difference]: a list with one element
        }

    def lines(self) -> list[str]:
        return plain(self.reports())

    def reports(self) -> list[Report]:
        return [self.difference.report()]


def diff_releases(
    repo_path: Path | None, origin: ReleaseOrigin, old: str, new: str, progress: Progress
) -> DiffResult:
    """Return the difference from `old` to `new`: each is a branch, a commit, or a source."""
    repo = Repo.open(repo_path) if repo_path is not None and is_present(repo_path) else None
    commits = [_commit(repo, text) if repo else None for text in (old, new)]
    releases = [
        _of_commit(repo, commit, text) if repo and commit else _of_source(origin, text, progress)
        for text, commit in zip((old, new), commits, strict=True)
    ]
    difference = Difference(releases[1], compare(*releases))
    first, second = commits
    if repo is not None and first is not None and second is not None:
        layers = compare_layers(layers_of(repo, first), layers_of(repo, second))
        cost = fetch_cost(repo, first, second)
        difference = replace(difference, layers=layers, device=cost)
    return DiffResult(difference)


def _commit(repo: Repo, text: str) -> Commit | None:
    """Return the commit of a checksum, a branch or `REV^`; None if the text is none of these."""
    ancestor = _ANCESTOR.fullmatch(text)
    if ancestor:
        return _older(repo, _commit(repo, ancestor[1]), len(ancestor[2]), text)
    if _CHECKSUM.fullmatch(text):
        return repo.commit(text)
    pulled = _PULLED.fullmatch(text)
    if pulled and why_no_branch(pulled[1]) == "":
        checksum = repo.revision(text)
        return repo.commit(checksum) if checksum is not None else None
    return head_of(repo, text) if why_no_branch(text) == "" else None


def _older(repo: Repo, commit: Commit | None, generations: int, text: str) -> Commit | None:
    for _ in range(generations):
        if commit is None:
            return None
        parent = repo.parent(commit.checksum)
        if parent is None or not repo.exists("commit", parent):
            raise ImporterError(f"{text}: the repo has no parent of {commit.checksum}")
        commit = repo.commit(parent)
    return commit


def _of_commit(repo: Repo, commit: Commit, text: str) -> Release:
    release = release_of(repo, commit, text)
    if release is None:
        raise ImporterError(f"{text} has no store of images")
    return release


def _of_source(origin: ReleaseOrigin, text: str, progress: Progress) -> Release:
    """Read a release from a source, for the architecture that it names, or the one of --arch."""
    name = SourceName.parse(text)
    if not is_source(name.text):
        raise ImporterError(
            f"{text}: there is no such branch or file, and it is no URL and no image's reference",
            hint="branches and commits are those of --repo",
        )
    arches = (name.arch,) if name.arch else origin.arches[:1]
    alone = replace(origin, names=(name,), stream="", locked=None, arches=arches)
    with opened_parts(alone, progress) as parts:
        return parts[0].release
