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
from layers.frozen import frozen
from layers.storage.stated_image import ARTIFACT, stated_artifacts, stated_images, stated_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from importer.repo.values import Commit
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from layers.digest import Digest
    from layers.release.release import Release
    from layers.storage.artifact import Artifact


@frozen
class StoreChange:
    """The images and artifacts that go from a store, and those that stay."""

    gone: tuple[ImageView, ...]
    kept: list[ImageView]
    artifacts_gone: tuple[Artifact, ...]
    artifacts_kept: tuple[Artifact, ...]


def removal_message(store: StoreView, change: StoreChange, parent: str | None) -> Message:
    """Return the message that an import of what remains alone would write.

    What the user chose, such as a subject, stays.
    """
    gone, kept = change.gone, change.kept
    old, release = store.commit.message, store.release
    if release is not None:
        return _release_message(store, release, gone, kept)
    names = store.given_names
    lines = [line for line in old.body.splitlines() if _stays(line, names, change)]
    derived = old.subject == default_subject(_references(old.body.splitlines()))
    times = _times(*kept, *change.artifacts_kept)
    timestamp = old.timestamp
    if (
        times
        and timestamp == max((*times, *_times(*gone, *change.artifacts_gone)))
        and parent is None
    ):
        timestamp = max(times)  # with a parent, devices would refuse an older commit
    return Message(
        default_subject(_references(lines)) if derived else old.subject,
        timestamp,
        "\n".join(lines),
        tuple(
            sorted((_facts(store.commit) | names_metadata(_given(lines, names, change))).items())
        ),
    )


def _times(*stored: ImageView | Artifact) -> list[int]:
    return [each.created_seconds for each in stored]


def _given(
    lines: Sequence[str], names: Mapping[str, Sequence[str]], change: StoreChange
) -> dict[str, Sequence[str]]:
    """Return the names that the user gave images and artifacts of these lines, by reference."""
    gone = {name for artifact in change.artifacts_gone for name in artifact.names}
    images = {each.reference: names.get(each.reference, ()) for each in stated_images(lines, {})}
    return images | {
        reference: [name for name in names.get(reference, ()) if name not in gone]
        for reference in stated_artifacts(lines)
    }


def _stays(line: str, given: Mapping[str, Sequence[str]], change: StoreChange) -> bool:
    """Return whether a line of the body still holds: it means nothing that was removed.

    Another image may be of the same index, and have lost the name to it.
    """
    gone = [*_digests(*change.gone, *change.artifacts_gone)]
    stated = list(stated_images([line.removeprefix(ARTIFACT)], given))
    if not any(each.digest in gone for each in stated):
        return True
    kept: list[ImageView | Artifact] = [*change.kept, *change.artifacts_kept]
    return any(
        each.digest in image.digests and each.is_among(image.names)
        for each in stated
        for image in kept
    )


def _digests(*stored: ImageView | Artifact) -> Iterator[Digest]:
    for each in stored:
        yield from each.digests


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
    return sorted(set(map(stated_reference, lines)))


def _facts(commit: Commit) -> dict[str, str]:
    """Return our metadata of the commit, except the names that the user gave images."""
    return {
        key: str(value)
        for key, value in commit.metadata.items()
        if key.startswith(OURS) and key not in (NAME, NAMES)
    }
