"""What the commit of a branch says: subject, time, body and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.recorded_options import new_options, options_metadata
from importer.commit.target import Form
from importer.commit.time import newest
from importer.repo import commit_keys as key
from importer.repo.given_names import names_metadata
from importer.repo.values import Message
from layers.release.commit_metadata import metadata, stored_release
from layers.release.diff import compare
from layers.storage.store_id import LayerIds, Whiteouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.commit.plan import PlannedBranch
    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit
    from layers.release.release import Release
    from layers.storage.image import Image
    from layers.storage.store_id import StoreKind


def branch_message(target: Target, branch: PlannedBranch) -> Message:
    """Return what a commit of the branch's images says."""
    if branch.release is not None:
        return _release_message(target, branch, branch.release)
    # `layers.storage.stated_image` reads them.
    lines = sorted({f"{image.reference} {image.digest}" for image in branch.images})
    given = _given_names(branch.images)
    return Message(
        target.subject if target.subject is not None else default_subject(sorted(given)),
        _time(target, branch),
        "\n".join(lines),
        tuple(sorted((facts(target, branch.base, branch.kind) | names_metadata(given)).items())),
    )


def _release_message(target: Target, branch: PlannedBranch, release: Release) -> Message:
    how = facts(target, branch.base, branch.kind) | options_metadata(target)
    return Message(
        release_subject(release, branch.name) if target.subject is None else target.subject,
        _time(target, branch),
        release_body(release),
        release_metadata(release, how),
    )


def _time(target: Target, branch: PlannedBranch) -> int:
    return branch_time(branch) if target.timestamp is None else target.timestamp


def branch_time(branch: PlannedBranch) -> int:
    """Return the commit's time, in seconds since 1970. A release's is never before its parent's,
    since devices refuse an older commit."""
    if branch.release is None:
        return newest(branch.images, branch.base, branch.head)
    return max(newest(branch.images, branch.base, None), _parent_time(branch.head))


def _parent_time(head: Commit | None) -> int:
    return head.message.timestamp if head is not None else 0


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
