"""Make an image of a store ready to be committed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.oci.reference import stored_reference
from layers.storage.image import Image, KeptRecord

if TYPE_CHECKING:
    from collections.abc import Set

    from importer.store.image import ImageView
    from importer.store.reader import StoreView


def kept_image(store: StoreView, view: ImageView, kept_from: str, taken: Set[str]) -> Image:
    """Return an image of the store, without the names in `taken`.

    `kept_from` is the release that left it, "" for an image of the new commit's own.
    """
    names = tuple(name for name in view.names if name not in taken)
    return Image(
        stored_reference(view.names, f"containers-storage:@{view.id}"),
        "",
        view.manifest,
        view.config,
        view.indexes[0] if len(view.indexes) == 1 else None,
        kept=KeptRecord(names, (view.manifest, *view.others, *view.indexes)),
        kept_from=kept_from,
        signatures=store.signatures(view.record).get(view.manifest.digest, ()),
    )
