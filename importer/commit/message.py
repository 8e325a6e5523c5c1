"""Write the message of a branch's commit: subject, time, body and metadata.

A device takes no commit that is older than the one it has (`timestamp-check` of ostree pull), so
the time has to grow with the OS's as with the images'.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from importer.commit.target import Form
from importer.repo import commit_keys as key
from importer.repo.commit_keys import names_metadata
from importer.repo.values import Message
from layers.storage.layer_id import LayerIds, Whiteouts
from layers.storage.stated_image import artifact_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from importer.commit.plan import PlannedBranch
    from importer.commit.target import Target
    from importer.progress import Progress
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit
    from layers.storage.artifact import ResolvedArtifact
    from layers.storage.image import Image
    from layers.storage.layer_id import StoreKind


def branch_message(target: Target, branch: PlannedBranch) -> Message:
    seconds = branch_time(branch) if target.timestamp is None else target.timestamp
    if branch.release is not None:
        from importer.commit.release_message import release_message

        return release_message(target, branch, branch.release, seconds)
    # `layers.storage.stated_image` reads them.
    lines = sorted({f"{image.reference} {image.digest}" for image in branch.images})
    lines += sorted({artifact_line(each.reference, each.digest) for each in branch.artifacts})
    given = _given_names(branch.named)
    return Message(
        target.subject if target.subject is not None else default_subject(sorted(given)),
        seconds,
        "\n".join(lines),
        tuple(sorted((facts(target, branch.base, branch.kind) | names_metadata(given)).items())),
    )


def branch_time(branch: PlannedBranch) -> int:
    """Return the commit's time, in seconds since 1970. A release's is never before its parent's,
    since devices refuse an older commit."""
    if branch.release is None:
        return newest(branch.named, branch.base, branch.head)
    parent = branch.head.message.timestamp if branch.head is not None else 0
    return max(newest(branch.images, branch.base, None), parent)


def _given_names(images: Iterable[Image | ResolvedArtifact]) -> dict[str, list[str]]:
    """Return the names that the user gave images and artifacts, by reference."""
    given: dict[str, list[str]] = {}
    for image in images:
        names = given.setdefault(str(image.reference), [])
        names += [str(image.name)] if image.name is not None else []
    return given


def default_subject(references: Sequence[str]) -> str:
    if not references:
        return "no images"
    more = f" and {len(references) - 1} more" if len(references) > 1 else ""
    return references[0] + more


def facts(target: Target, base: Base | None, kind: StoreKind) -> dict[str, str]:
    """Return the metadata that says how the commit was made."""
    metadata = {key.FORM: target.form.recorded}
    if target.form is Form.STORE:
        metadata[key.PREFIX] = target.prefix
        if kind.ids is LayerIds.PRIVATE:
            metadata[key.LAYER_IDS] = kind.ids.value
        if kind.whiteouts is Whiteouts.NONE:
            metadata[key.STORE_WHITEOUTS] = kind.whiteouts.value
    if base is not None:
        metadata[key.BASE] = base.commit.checksum
    if target.flatten:
        metadata[key.FLATTEN] = "true"
    return metadata


# Clocks of build machines may be ahead of ours by hours; an image of another year is one that
# would keep devices from every later upgrade.
_TOLERANCE = 24 * 60 * 60


def is_future(seconds: int) -> bool:
    """Return whether a time, in seconds since 1970, is more than a day ahead."""
    return seconds > time.time() + _TOLERANCE


def newest(
    images: Iterable[Image | ResolvedArtifact], base: Base | None, head: Commit | None
) -> int:
    """Return the commit's time, in seconds since 1970: the newest image's or the base's.

    An image of the future does not count. A branch whose head is of the future already keeps
    that time, since devices would not take another.
    """
    times = [image.created_seconds for image in images]
    past = [seconds for seconds in times if not is_future(seconds)]
    if base is not None:
        past.append(base.commit.message.timestamp)
    if head is not None and is_future(head.message.timestamp):
        past.append(head.message.timestamp)
    return max(past, default=0)


def tell_future(
    images: Iterable[Image | ResolvedArtifact], seconds: int, progress: Progress
) -> None:
    """Report the images whose times are ignored for the time of their commit, `seconds` since 1970.
    If no other time is left, report what to do."""
    future = [image for image in images if is_future(image.created_seconds)]
    for image in future:
        progress.message(
            f"{image.reference}: made in the future, {image.created}; this does not count"
            " for the commit's time"
        )
    if future and seconds == 0:
        progress.message(
            "the commit's time is 1970-01-01, since no image and no base has a time that counts;"
            " a device with a newer commit does not take this one: set the time by --timestamp"
        )


def older(branch: str, head: Commit | None, seconds: int) -> Iterator[str]:
    """Yield what to tell the user of a branch whose new commit, of a time in seconds since 1970, is
    older than its last one."""
    if head is not None and seconds < head.message.timestamp:
        now, before = (
            datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for moment in (seconds, head.message.timestamp)
        )
        yield (
            f"{branch}: the new commit is of {now}, the last one of {before}: devices with that one"
            " refuse it as older (`ostree admin upgrade`, `--timestamp-check`), unless a later"
            " --timestamp is given"
        )
