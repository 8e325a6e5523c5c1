"""`image-store embed`: put a store into a container image."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from importer.embed.base_image import BaseImage, fetch_base, resolve_base
from importer.embed.checks import check_base, tell_place, tell_platforms, tell_xattrs
from importer.embed.destination import destination
from importer.embed.extra_files import is_policy
from importer.embed.image_layers import ImageLayers
from importer.embed.result import Embedded
from importer.embed.store_layers import store_layers
from importer.errors import ImporterError
from importer.fetch.blobs import Blobs
from importer.repo.writer import Repo
from importer.store.reader import open_store
from layers.digest import Digest
from layers.oci.derive import STORE_COMMIT, Derivation, derived_config, derived_manifest
from layers.oci.manifest import Descriptor
from layers.oci.media_type import OCI_CONFIG
from layers.storage.packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.embed.job import EmbedJob
    from importer.embed.result import WrittenLayer
    from importer.embed.store_layers import StoreLayers
    from importer.files.oci_layout import Layout
    from importer.progress import Progress
    from importer.store.reader import StoreView
    from layers.path import Path
    from layers.storage.image import Image
    from layers.storage.packing import Packing

_EPOCH = "SOURCE_DATE_EPOCH"


def embed(job: EmbedJob, progress: Progress) -> Embedded:
    """Put the store into the base image, and write the result to its destination.

    Raise ImporterError if the store has whiteouts, or if the base has a store of its own. The
    destination then still has its old image; a layout may have new blobs that no manifest names.
    """
    repo = Repo.open(job.repo)
    store = open_store(repo, job.branch, job.prefix)
    tell_place(store, progress)
    found, now = store_layers(repo, store), _time()
    with Blobs(job.skopeo, progress) as blobs, destination(job.to, job.skopeo) as place:
        image = resolve_base(job.skopeo, blobs, job.base)
        tell_platforms(store, image, progress)
        packing = packed_layers(job, found, len(image.layers))
        layers = ImageLayers(repo, store, job.contents, packing, found)
        base = fetch_base(image, blobs, place.layout, job.downloads, _wanted(layers))
        check_base(store, base)
        written = layers.write(place.layout, base, job.compression, job.jobs, progress)
        said = _derivation(job, store, image, _created(image, store) if now is None else now)
        config, manifest = _documents(place.layout, base, written, said)
        published = place.publish(manifest)
    tell_xattrs(written, progress)
    return Embedded(job.to, published, config, image, store, written)


def packed_layers(job: EmbedJob, found: StoreLayers, below: int) -> Packing:
    """Pack the store's layers on top of a base with `below` layers.

    Raise ImporterError if the image would have more layers than --max-layers allows.
    """
    room = job.max_layers - below - 1
    packing = pack(found.packed, room, job.small)
    if len(packing.groups) > room:
        raise ImporterError(
            f"the image would have {below + len(packing.groups) + 1} layers, more"
            f" than {job.max_layers}",
            hint="--max-layers allows more; podman takes 500, Docker 127",
        )
    return packing


def _wanted(layers: ImageLayers) -> Callable[[Path], bool]:
    return lambda path: is_policy(path) or layers.watches(path)


def _created(base: Image, store: StoreView) -> int:
    """Return the later time of the base's and of the store's commit."""
    return max(base.config.created_seconds, store.commit.message.timestamp)


def _time() -> int | None:
    """Return the time in SOURCE_DATE_EPOCH (reproducible-builds.org), None if it is not set."""
    text = os.environ.get(_EPOCH)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 11:
        raise ImporterError(f"{_EPOCH} is {text[:40]!r}, not seconds since 1970")
    return int(text)


def _derivation(job: EmbedJob, store: StoreView, base: Image, seconds: int) -> Derivation:
    name = job.base.name
    return Derivation(
        f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}",
        str(name) if name is not None and job.base.transport == "docker" else "",
        base.digest,
        job.contents.labels,
        {STORE_COMMIT: store.commit.checksum, **job.contents.annotations},
    )


def _documents(
    layout: Layout, base: BaseImage, written: tuple[WrittenLayer, ...], said: Derivation
) -> tuple[Digest, bytes]:
    """Write the new config. Return its digest, and the new manifest."""
    layers = [one.layer for one in written]
    config = derived_config(base.image.config.raw, layers, said)
    digest = Digest.of(config)
    layout.write(digest, iter([config]))
    described = Descriptor(OCI_CONFIG, digest, len(config))
    manifest = derived_manifest(base.image.manifest.raw, base.layers, layers, described, said)
    return digest, manifest
