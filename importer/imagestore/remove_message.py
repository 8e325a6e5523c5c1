"""Write the message of a commit from which `image-store remove` took images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.commit.message import default_subject
from importer.commit.release_message import (
    kept_options,
    release_body,
    release_metadata,
    release_subject,
)
from importer.repo.commit_keys import NAME, NAMES, OURS, names_metadata
from importer.repo.values import Message
from layers.storage.stated_image import stated_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.repo.values import Commit
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from layers.release.release import Release


def removal_message(
    store: StoreView, gone: Sequence[ImageView], kept: list[ImageView], parent: str | None
) -> Message:
    """Return the message that an import of the remaining images alone would write.

    What the user chose, such as a subject, stays.
    """
    old, release = store.commit.message, store.release
    if release is not None:
        return _release_message(store, release, gone, kept)
    names = store.given_names
    lines = [line for line in old.body.splitlines() if _stays(line, names, gone, kept)]
    derived = old.subject == default_subject(_references(old.body.splitlines()))
    newest = max(image.config.created_seconds for image in (*gone, *kept))
    timestamp = old.timestamp
    if kept and timestamp == newest and parent is None:  # devices refuse an older commit
        timestamp = max(image.config.created_seconds for image in kept)
    return Message(
        default_subject(_references(lines)) if derived else old.subject,
        timestamp,
        "\n".join(lines),
        tuple(sorted((_facts(store.commit) | names_metadata(_given(lines, names))).items())),
    )


def _given(lines: Iterable[str], names: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the names that the user gave the images of these lines, by reference."""
    references = (stated.reference for stated in stated_images(lines, {}))
    return {reference: names.get(reference, ()) for reference in references}


def _stays(
    line: str,
    given: Mapping[str, Sequence[str]],
    gone: Sequence[ImageView],
    kept: list[ImageView],
) -> bool:
    """Return whether a line of the body still holds: it means none of the removed images.

    Another image may be of the same index, and have lost the name to it.
    """
    images = list(stated_images([line], given))
    if not any(stated.digest in image.digests for stated in images for image in gone):
        return True
    return any(
        stated.digest in image.digests and stated.is_among(image.names)
        for stated in images
        for image in kept
    )


def _release_message(
    store: StoreView, release: Release, gone: Sequence[ImageView], kept: list[ImageView]
) -> Message:
    """Return the message of the same release without these images."""
    digests = {str(digest) for image in gone for digest in image.digests}
    digests -= {str(digest) for image in kept for digest in image.digests}
    old = store.commit.message
    components = release.components.items()
    rest = {name: part for name, part in components if part.digest not in digests}
    less = replace(release, components=rest)
    derived = old.subject == release_subject(release, store.branch)
    return Message(
        release_subject(less, store.branch) if derived else old.subject,
        old.timestamp,
        release_body(less),
        release_metadata(less, _facts(store.commit) | kept_options(store.commit)),
    )


def _references(lines: Iterable[str]) -> list[str]:
    return sorted({line.rpartition(" ")[0] for line in lines})


def _facts(commit: Commit) -> dict[str, str]:
    """Return our metadata of the commit, except the names that the user gave images."""
    return {
        key: str(value)
        for key, value in commit.metadata.items()
        if key.startswith(OURS) and key not in (NAME, NAMES)
    }
