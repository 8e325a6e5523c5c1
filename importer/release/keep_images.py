"""Keep images of earlier releases in the store, beside the new release's.

Containers that exist when a device upgrades, and images that a device built on or pulled over the
store, work as long as the store has their images and layers; so does a rollback. The kept images
have the new store's form and kind of ids.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.cache.layer import find_layer
from importer.repo.reachable import ancestors
from importer.store.image import kept_image
from importer.store.reader import NoStoreError, open_store
from layers.release.diff import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.commit.plan import PlannedBranch
    from importer.commit.target import Target
    from importer.progress import Progress
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from layers.release.release import Release
    from layers.storage.image import Image

_GONE = (
    "{image} of {release} is not kept: its layers are no longer in the repo, where"
    " `image-store prune` keeps them as long as a commit has them"
)


def with_kept_images(
    target: Target, repo: Repo, branch: PlannedBranch, progress: Progress
) -> PlannedBranch:
    """Return a release's branch with those images of its last `target.keep_images` releases that
    the new release lacks.

    A kept image loses a name that a new image has. Importing a release again gives the same result.
    """
    if branch.release is None:
        return branch
    names = {name for image in branch.images for name in image.names}
    ids = {image.id for image in branch.images}
    kept: list[Image] = []
    for store, view, kept_from in _earlier(repo, branch.head, branch.release, target.keep_images):
        if view.id not in ids:
            ids.add(view.id)
            image = kept_image(store, view, kept_from, names)
            names.update(image.names)
            if all(find_layer(repo, layer.id) for layer in image.layers):
                kept.append(image)
            else:
                progress.message(_GONE.format(image=view.label, release=kept_from))
    return replace(branch, kept=tuple(kept))


def _earlier(
    repo: Repo, head: Commit | None, release: Release, count: int
) -> Iterator[tuple[StoreView, ImageView, str]]:
    """Yield the images of the last `count` other releases in the branch's history, newest first,
    with their releases' names. Where the history ends before, as after --keep or a pull, yield what
    the last commit keeps of them."""
    seen, last = [release], None
    for commit in ancestors(repo, head.checksum if head else None):
        if len(seen) > count:
            return
        try:
            store = open_store(repo, commit.checksum, None)
        except NoStoreError:
            continue
        last = last or store
        before = store.release
        if before is not None and not any(compare(before, each).is_empty for each in seen):
            seen.append(before)
            name = before.name or store.commit.checksum
            yield from ((store, view, name) for view in _sorted(store) if view.components)
    if last is not None and len(seen) <= count:
        kept = ((last, view, view.record.kept_from) for view in _sorted(last))
        yield from (each for each in kept if each[2])


def _sorted(store: StoreView) -> list[ImageView]:
    return sorted(store.images, key=lambda view: view.id)
