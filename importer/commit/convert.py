"""Convert a store that images are merged into to the other form of whiteouts.

Its images are committed again like those of the call, out of the layers' own branches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.branches import layer_branch
from importer.cache.layer import find_layer
from importer.commit.layer_ids import present_store
from importer.commit.target import ExistingStore
from importer.errors import ImporterError
from importer.store.whiteouts import whiteouts_in
from importer.store.writer import reading_present
from layers.storage.layer_id import layer_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.writer import Repo
    from importer.store.image import ImageView
    from layers.storage.image import Image
    from layers.storage.layer_id import Whiteouts

_HINT = "import all images anew, with --existing-store=replace"


def images_to_convert(
    target: Target,
    repo: Repo,
    base: Base | None,
    whiteouts: Whiteouts,
    images: Iterable[Image] = (),
) -> tuple[Image, ...]:
    """Return the images of the base's store if it has another form than `whiteouts`, and stays.

    They lose the names that the new `images` have. Raise ImporterError if a layer of theirs is not
    in the repo, or if one is flattened.
    """
    if target.flatten or base is None or target.existing_store is not ExistingStore.MERGE:
        return ()
    present = present_store(repo, base, target.prefix)
    with reading_present():
        if present is None or whiteouts_in(present) in (None, whiteouts):
            return ()
        from importer.store.image import kept_image
        from importer.store.reader import open_store

        store = open_store(repo, base.commit.checksum, target.prefix)
        taken = {name for image in images for name in image.names}
        for view in store.images:
            _check(repo, view)
        return tuple(kept_image(store, one, one.record.kept_from, taken) for one in store.images)


def _check(repo: Repo, view: ImageView) -> None:
    if view.flattened:
        raise ImporterError(
            f"{view.label} of the base commit's store is flattened, and cannot change its form",
            hint=_HINT,
        )
    for one in layer_ids(view.config.diff_ids):
        if find_layer(repo, one) is None:
            raise ImporterError(
                f"{view.label} of the base commit's store cannot change its form: branch"
                f" {layer_branch(one)} is not in the repo",
                hint=_HINT,
            )
