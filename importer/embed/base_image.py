"""Fetch the base image into a layout, read the few files that embed needs, and check the image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.fetch.resolver import Resolver
from importer.store.layers import NO_RECORDS
from layers.chunks import DiffID
from layers.compress.decompress import compression_of, decompressed
from layers.entry import Kind, Owner
from layers.errors import LayerError
from layers.limits import Limits
from layers.oci.media_type import DOCKER_LAYERS, TAR_LAYER, Compression, layer_compression
from layers.path import Path, components, joined
from layers.tree.watched import Watched, WatchedPaths

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.fetch.blobs import Blobs
    from importer.fetch.skopeo import Skopeo
    from importer.files.oci_layout import Layout
    from importer.progress import Progress
    from importer.store.reader import StoreView
    from layers.chunks import Chunks
    from layers.digest import Digest
    from layers.oci.manifest import Descriptor
    from layers.oci.reference import Reference
    from layers.storage.image import Image

_RECORDS = ((b"overlay-images", b"images.json"), (b"overlay-layers", b"layers.json"))
_SUFFIX = {Compression.NONE: "", Compression.GZIP: "+gzip", Compression.ZSTD: "+zstd"}


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image whose blobs are in the layout. `layers` are its layers' blobs, base first. `watched`
    has its files and directories at the paths that `fetch_base` was asked for."""

    image: Image
    layers: tuple[Descriptor, ...]
    watched: dict[Path, Watched]

    def owner(self, path: Path) -> Owner | None:
        """Return the owner of a directory, or None if the base has none there.

        Raise ImporterError if the base has something else there.
        """
        there = self.watched.get(path)
        if there is not None and there.kind is not Kind.DIRECTORY:
            raise ImporterError(
                f"/{joined(path).decode()} of the base image is not a directory",
                hint="the store's path must not lead through a file or symlink; see --prefix of"
                " the import",
            )
        return there.owner if there is not None else None


def resolve_base(skopeo: Skopeo, blobs: Blobs, reference: Reference) -> Image:
    """Return the base's manifest and config. Raise FetchError or LayerError as Resolver does."""
    image = Resolver(skopeo, blobs).resolve(reference)
    for layer in image.layers:
        _ = layer.available_compression  # raises LayerError for an unknown media type
    return image


def fetch_base(
    image: Image, blobs: Blobs, layout: Layout, downloads: int, wanted: Callable[[Path], bool]
) -> BaseImage:
    """Put the base's layers into the layout. Find the files and directories whose paths are
    `wanted`."""
    with ThreadPoolExecutor(downloads) as pool:
        fetch = partial(_fetch, image.source, blobs, layout)
        layers = tuple(pool.map(fetch, (layer.available for layer in image.layers)))
    watched = WatchedPaths(wanted)
    for blob, diff_id in zip(layers, image.config.diff_ids, strict=True):
        try:
            watched.add_layer(partial(_tar, layout, blob, diff_id))
        except LayerError as error:
            raise error.within(digest=str(blob.digest)) from None
    return BaseImage(image, layers, watched.found)


def check_base(store: StoreView, base: BaseImage) -> None:
    """Raise ImporterError if the base has images at the store's prefix: they would be lost."""
    prefix = components(store.prefix.encode())
    for place in _RECORDS:
        there = base.watched.get((*prefix, *place))
        if there is not None and (there.content is None or there.content.strip() not in NO_RECORDS):
            raise ImporterError(
                f"the base image has a store of its own at {store.prefix}",
                hint="embed into an image without a store, or import to another --prefix",
            )


def tell_platforms(store: StoreView, base: Image, progress: Progress) -> None:
    """Report the images that are for another architecture than the base."""
    for image in store.images:
        if image.config.architecture != base.config.architecture:
            progress.message(
                f"{image.label} is for {image.platform}, and the base image for"
                f" {base.config.os}/{base.config.architecture}"
            )


def _tar(layout: Layout, blob: Descriptor, diff_id: Digest) -> Chunks:
    """Yield the tar of a layer. Raise LayerError if the tar has another diffID or is too large."""
    kind = layer_compression(blob.media_type)
    tar = decompressed(layout.read(blob.digest), blob.media_type, kind)
    return iter(DiffID(tar, diff_id, Limits().size))


def _fetch(source: str, blobs: Blobs, layout: Layout, blob: Descriptor) -> Descriptor:
    """Put a blob into the layout. Return it with OCI's media type."""

    def write() -> None:
        with closing(blobs.stream(source, blob)) as chunks:
            layout.write(blob.digest, chunks)

    if not layout.has(blob.digest, blob.size):
        blobs.retrying(write)
    if not blob.media_type.startswith(DOCKER_LAYERS):
        return blob
    with closing(layout.read(blob.digest)) as chunks:
        compression = compression_of(next(chunks, b""))
    return replace(blob, media_type=TAR_LAYER + _SUFFIX[compression])
