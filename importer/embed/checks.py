"""Refuse a base image that cannot take the store; report what bootc or the user may not expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.embed.extra_files import path_of
from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.embed.base_image import BaseImage
    from importer.embed.result import Written
    from importer.progress import Progress
    from importer.store.reader import StoreView
    from layers.storage.image import Image

_RECORDS = ((b"overlay-images", b"images.json"), (b"overlay-layers", b"layers.json"))
# Records without an image, as packages of podman install them.
_NO_RECORDS = (b"", b"[]", b"null")
_BELOW = "/usr/"


def check_base(store: StoreView, base: BaseImage) -> None:
    """Raise ImporterError if the base has images at the store's prefix: they would be lost."""
    prefix = path_of(store.prefix)
    for place in _RECORDS:
        there = base.found.get((*prefix, *place))
        if there is not None and (
            there.content is None or there.content.strip() not in _NO_RECORDS
        ):
            raise ImporterError(
                f"the base image has a store of its own at {store.prefix}",
                hint="embed into an image without a store, or import to another --prefix",
            )


def tell_place(store: StoreView, progress: Progress) -> None:
    """Report a store at a prefix that bootc leaves out of a deployment (bootc, tar/write.rs,
    `normalize_validate_path`)."""
    if not store.prefix.startswith(_BELOW):
        progress.message(
            f"the store is at {store.prefix}, and bootc takes only what is below /usr and /etc"
        )


def tell_platforms(store: StoreView, base: Image, progress: Progress) -> None:
    """Report the images that are for another architecture than the base."""
    for image in store.images:
        if image.config.architecture != base.config.architecture:
            progress.message(
                f"{image.label} is for {image.platform}, and the base image for"
                f" {base.config.os}/{base.config.architecture}"
            )


def tell_capabilities(written: Iterable[Written], progress: Progress) -> None:
    """Report the images with file capabilities: bootc before 1.1.3 drops all xattrs of a layer's
    files (bootc, "tar: Propagate PAX extensions")."""
    names = sorted({name for one in written if one.capable for name in one.images})
    if names:
        progress.message(
            f"{', '.join(names)}: files have capabilities, which bootc before 1.1.3 does not keep"
        )
