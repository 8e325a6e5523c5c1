"""Keep images of earlier releases in the store, beside the new release's.

Containers that exist when a device upgrades, and images that a device built on or pulled over the
store, work as long as the store has their images and layers; so does a rollback. The kept images
have the new store's form and kind of ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.layer import find_layer
from importer.repo.reachable import ancestors
from importer.store.image import kept_image
from importer.store.reader import NoStoreError, open_store
from layers.release.diff import compare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.progress import Progress
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.release.release import Release
    from layers.storage.image import Image

_GONE = (
    "{image} of {release} is not kept: its layers are no longer in the repo, where"
    " `image-store prune` keeps them as long as a commit has them"
)


def images_to_keep(
    repo: Repo,
    head: Commit | None,
    release: Release,
    images: Sequence[Image],
    count: int,
    progress: Progress,
) -> tuple[Image, ...]:
    """Return the images of the last `count` releases that the new release lacks.

    `head` is the branch's present commit, `images` are the release's own. A name of one of these
    is removed from the earlier images. Importing a release again gives the same result.
    """
    taken = {name for image in images for name in image.names}
    known = {image.id for image in images}
    found: list[Image] = []
    for store, before in _earlier(repo, head, release, count):
        for view in sorted(store.images, key=lambda view: view.id):
            if view.components and view.id not in known:
                known.add(view.id)
                image = kept_image(store, view, before.name or store.commit.checksum, taken)
                taken.update(image.names)
                if all(find_layer(repo, layer.id) for layer in image.layers):
                    found.append(image)
                else:
                    progress.message(_GONE.format(image=view.label, release=image.kept_from))
    return tuple(found)


def _earlier(
    repo: Repo, head: Commit | None, release: Release, count: int
) -> Iterator[tuple[StoreView, Release]]:
    """Yield the stores of other releases in the branch's history, newest first."""
    seen = [release]
    for commit in ancestors(repo, head.checksum if head else None):
        if len(seen) > count:
            return
        try:
            store = open_store(repo, commit.checksum, None)
        except NoStoreError:
            continue
        before = store.release
        if before is not None and not any(compare(before, one).is_empty for one in seen):
            seen.append(before)
            yield store, before
