"""What the commit of a release says, and whether a commit says so already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.message import facts
from importer.commit.recorded_options import new_options, options_metadata
from importer.repo import commit_keys as key
from importer.repo.values import Message
from layers.release.commit_metadata import metadata, stored_release
from layers.release.diff import compare

if TYPE_CHECKING:
    from importer.commit.plan import PlannedBranch
    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit
    from layers.release.release import Release


def release_message(target: Target, branch: PlannedBranch, release: Release, time: int) -> Message:
    """Return what a commit of the branch's release says; `time` in seconds since 1970."""
    how = facts(target, branch.base, branch.kind) | options_metadata(target)
    return Message(
        release_subject(release, branch.name) if target.subject is None else target.subject,
        time,
        release_body(release),
        release_metadata(release, how),
    )


def has_release(target: Target, branch: PlannedBranch, release: Release) -> bool:
    """Return whether the branch's commit has this release, of the same base, with the same options.

    Releases with the same components count as the same, whatever their names.
    """
    head = branch.head
    if head is None:
        return False
    stored = stored_release(head.metadata, head.checksum)
    same = stored is not None and compare(stored, release).is_empty
    return same and is_onto(head, branch.base) and not new_options(head, target)


def is_onto(commit: Commit, base: Base | None) -> bool:
    """Return whether the commit was made from this base; for None, from none."""
    return commit.metadata.get(key.BASE) == (base.commit.checksum if base else None)


def release_metadata(release: Release, how: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a release's commit; `how` are the `facts` of its making."""
    said = dict(metadata(release)) | how
    if key.BASE in said:
        said.pop("version", None)  # `version` is then the operating system's
    return tuple(sorted(said.items()))


def release_subject(release: Release, branch: str) -> str:
    """Return the default subject of a release's commit."""
    name = release.name or release.version or branch
    return f"{name} ({release.arch}), {len(release.components)} images"


def release_body(release: Release) -> str:
    """Return one line for each component."""
    return "\n".join(sorted(f"{one.name} {one.pullspec}" for one in release.components.values()))
