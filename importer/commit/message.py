"""What the commit of a branch says: subject, time, body and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.target import Form
from importer.commit.time import newest
from importer.repo import commit_keys as key
from importer.repo.commit_keys import names_metadata
from importer.repo.values import Message
from layers.storage.layer_id import LayerIds, Whiteouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.commit.plan import PlannedBranch
    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit
    from layers.storage.image import Image
    from layers.storage.layer_id import StoreKind


def branch_message(target: Target, branch: PlannedBranch) -> Message:
    """Return what a commit of the branch's images says."""
    if branch.release is not None:
        from importer.commit.release_message import release_message

        return release_message(target, branch, branch.release, _time(target, branch))
    # `layers.storage.stated_image` reads them.
    lines = sorted({f"{image.reference} {image.digest}" for image in branch.images})
    given = _given_names(branch.images)
    return Message(
        target.subject if target.subject is not None else default_subject(sorted(given)),
        _time(target, branch),
        "\n".join(lines),
        tuple(sorted((facts(target, branch.base, branch.kind) | names_metadata(given)).items())),
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
