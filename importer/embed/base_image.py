"""Fetch the base image into a layout, read the few files that embed needs, and check the image."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from importer.commit.base_tree import BaseTree
from importer.embed.rootfs_layer import rootfs_layer
from importer.errors import ImporterError
from importer.fetch.resolver import Resolver
from layers.architecture import go_arch
from layers.chunks import DiffID
from layers.compress.decompress import compression_of, decompressed
from layers.document import compact_json
from layers.entry import Kind, Owner
from layers.errors import within
from layers.frozen import frozen
from layers.limits import Limits
from layers.oci.derive import replaced_layers
from layers.oci.media_type import DOCKER_LAYERS, TAR_LAYER, Compression, layer_compression
from layers.path import Path, joined
from layers.storage.image import Image
from layers.tree.watched import Watched, WatchedDirectory, WatchedPaths

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.embed.embed import EmbedJob
    from importer.fetch.blobs import Blobs
    from importer.files.oci_layout import Layout
    from importer.progress import Progress
    from importer.store.reader import StoreView
    from layers.chunks import Chunks
    from layers.digest import Digest
    from layers.oci.manifest import Descriptor

_SUFFIX = {Compression.NONE: "", Compression.GZIP: "+gzip", Compression.ZSTD: "+zstd"}


@frozen
class BaseImage:
    """An image whose blobs are in the layout. `layers` are its layers' blobs, base first. `watched`
    has its files and directories at the paths that `fetch_base` was asked for, `tree` the same as a
    tree. bootc makes /usr/etc of the image's /etc, and refuses an image that has both."""

    image: Image
    layers: tuple[Descriptor, ...]
    watched: dict[Path, Watched]
    tree: BaseTree

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


def resolve_base(
    job: EmbedJob, store: StoreView, blobs: Blobs, layout: Layout, progress: Progress
) -> Image:
    """Return the manifest and config of the base. Raise FetchError or LayerError as Resolver does.

    The base of --rootfs has one layer, which is written into the layout, and all else of the given
    image. The base of a job with neither has no layer, and the platform of the store's first image.
    """
    given = Resolver(job.skopeo, blobs).resolve(job.base) if job.base is not None else None
    if given is not None and job.rootfs is None:
        for layer in given.layers:
            _ = layer.available_compression  # raises LayerError for an unknown media type
        return given
    layers = []
    if job.rootfs is not None:
        layers.append(rootfs_layer(job.rootfs, layout, job.compression, progress))
    config = given.config.raw if given is not None else compact_json(_platform(store))
    manifest = given.manifest.raw if given is not None else b"{}"
    return Image(job.base or job.to, "", *replaced_layers(config, manifest, layers))


def _platform(store: StoreView) -> dict[str, str]:
    """Return the platform of the store's first image, by name; of this machine for artifacts
    alone."""
    if not store.images:
        return {"architecture": go_arch(platform.machine()), "os": "linux"}
    first = min(store.images, key=lambda image: (image.full_label, image.id))
    return {"architecture": first.config.architecture, "os": first.config.os}


def fetch_base(
    image: Image, blobs: Blobs, layout: Layout, downloads: int, wanted: Callable[[Path], int | None]
) -> BaseImage:
    """Put the base's layers into the layout. Find the files and directories whose paths are
    `wanted`, as `WatchedPaths` does."""
    with ThreadPoolExecutor(downloads) as pool:
        fetch = partial(_fetch, image.source, blobs, layout)
        layers = tuple(pool.map(fetch, (layer.available for layer in image.layers)))
    watched = WatchedPaths(wanted)
    for blob, diff_id in zip(layers, image.config.diff_ids, strict=True):
        with within(digest=str(blob.digest)):
            watched.add_layer(partial(_tar, layout, blob, diff_id))
    tree = BaseTree(WatchedDirectory.of(watched.found), "the base image", "/etc")
    return BaseImage(image, layers, watched.found, tree)


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
