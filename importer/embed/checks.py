"""Refuse a base image that cannot take the store; report what bootc or the user may not expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.embed.extra_files import path_of
from importer.errors import ImporterError
from importer.render.table import first_of
from layers.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.embed.base_image import BaseImage
    from importer.embed.result import WrittenLayer
    from importer.progress import Progress
    from importer.store.reader import StoreView
    from layers.storage.image import Image

_RECORDS = ((b"overlay-images", b"images.json"), (b"overlay-layers", b"layers.json"))
# Records without an image, as packages of podman install them.
_NO_RECORDS = (b"", b"[]", b"null")
_BELOW = "/usr/"
# composefs-rs, CONTAINER_XATTR_ALLOWLIST: the only xattr that it keeps, unless it is told to (bootc
# 1.16 does not).
_CAPABILITY = b"security.capability"


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
    """Report a store at a prefix that bootc's ostree backend may leave out of a deployment (bootc,
    tar/write.rs, `normalize_validate_path`, and ostree_prepareroot.rs)."""
    if not store.prefix.startswith(_BELOW):
        progress.message(
            f"the store is at {store.prefix}; of a base whose prepare-root.conf enables neither"
            " composefs nor a transient root, bootc takes only what is below /usr and /etc"
        )


def tell_platforms(store: StoreView, base: Image, progress: Progress) -> None:
    """Report the images that are for another architecture than the base."""
    for image in store.images:
        if image.config.architecture != base.config.architecture:
            progress.message(
                f"{image.label} is for {image.platform}, and the base image for"
                f" {base.config.os}/{base.config.architecture}"
            )


def tell_xattrs(written: Iterable[WrittenLayer], progress: Progress) -> None:
    """Report the images whose files have xattrs that not every reader of the new image keeps."""
    images: dict[bytes, set[str]] = {}
    for one in written:
        for name in one.xattrs:
            images.setdefault(name, set()).update(one.images)
        if one.unusual:
            progress.message(
                f"{first_of(one.images)}: an xattr has a newline, which bootc cannot read as podman"
                " does; bootc's ostree backend keeps it, podman and bootc's composefs backend do"
                f" not: {_paths(one.unusual)}"
            )
    capable = images.pop(_CAPABILITY, set())
    if capable:
        progress.message(
            f"{', '.join(sorted(capable))}: files have capabilities, which bootc before 1.1.3 does"
            " not keep"
        )
    names: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(images):
        names.setdefault(tuple(sorted(images[name])), []).append(printable(name))
    for users, lost in names.items():
        progress.message(
            f"{', '.join(users)}: files have xattrs that bootc's composefs backend does not keep:"
            f" {first_of(lost)}"
        )


def _paths(unusual: tuple[bytes, ...]) -> str:
    """Return paths in the store as the images have them."""
    return first_of([printable(b"/" + path.partition(b"/diff/")[2]) for path in unusual])
