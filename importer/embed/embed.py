"""`image-store embed`: put a store into a container image."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from importer.embed.base_image import BaseImage, fetch_base, resolve_base
from importer.embed.destination import destination
from importer.embed.extra_files import is_policy, path_of
from importer.embed.image_layers import ImageLayers
from importer.embed.result import Embedded
from importer.embed.store_layers import store_layers
from importer.errors import ImporterError
from importer.fetch.blobs import Blobs
from importer.repo.writer import Repo
from importer.store.reader import open_store
from layers.digest import Digest
from layers.oci.derive import STORE_COMMIT, Derivation, derived_config, derived_manifest
from layers.storage.packing import pack

if TYPE_CHECKING:
    from importer.embed.job import Job
    from importer.embed.result import Written
    from importer.files.oci_layout import Layout
    from importer.progress import Progress
    from importer.store.reader import StoreView
    from layers.path import Path
    from layers.storage.image import Image

_EPOCH = "SOURCE_DATE_EPOCH"


def embed(job: Job, progress: Progress) -> Embedded:
    """Put the store into the base image, and write the result to its destination.

    Raise ImporterError if the store has whiteouts or the base a store of its own. The destination
    is then as before, but for blobs that nothing names.
    """
    repo = Repo.open(job.repo)
    store = open_store(repo, job.branch, job.prefix)
    found = store_layers(repo, store)
    created = _time()
    with (
        Blobs(job.skopeo, progress) as blobs,
        destination(job.to, job.skopeo) as place,
    ):
        image = resolve_base(job.skopeo, blobs, job.base)
        room = job.max_layers - len(image.layers) - 1
        packing = pack(found.packed, room)
        if len(packing.groups) > room:
            raise ImporterError(
                f"the image would have {len(image.layers) + len(packing.groups) + 1} layers, more"
                f" than {job.max_layers}",
                hint="--max-layers allows more; podman takes 500, Docker 127",
            )
        _tell_platforms(store, image, progress)
        layers = ImageLayers(repo, store, job.contents, packing, found)
        base = fetch_base(
            image, blobs, place.layout, job.downloads, lambda p: is_policy(p) or layers.watches(p)
        )
        _check_store(store, base)
        written = layers.write(place.layout, base, job.compression, job.jobs, progress)
        seconds = max(image.config.created_seconds, store.commit.message.timestamp)
        said = _derivation(job, store, image, seconds if created is None else created)
        config, manifest = _documents(place.layout, base, written, said)
        digest = place.publish(manifest)
    _tell_capabilities(written, progress)
    return Embedded(job.to, digest, config, image, store, written)


def _time() -> int | None:
    """Return the time that the environment sets (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
    text = os.environ.get(_EPOCH)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 11:
        raise ImporterError(f"{_EPOCH} is {text[:40]!r}, not seconds since 1970")
    return int(text)


def _derivation(job: Job, store: StoreView, base: Image, seconds: int) -> Derivation:
    name = job.base.name
    return Derivation(
        f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}",
        str(name) if name is not None and job.base.transport == "docker" else "",
        base.digest,
        job.contents.labels,
        {STORE_COMMIT: store.commit.checksum, **job.contents.annotations},
    )


def _documents(
    layout: Layout, base: BaseImage, written: tuple[Written, ...], said: Derivation
) -> tuple[Digest, bytes]:
    """Write the new config. Return its digest, and the new manifest."""
    layers = [one.layer for one in written]
    config = derived_config(base.image.config.raw, layers, said)
    digest = Digest.of(config)
    layout.write(digest, iter([config]))
    manifest = derived_manifest(
        base.image.manifest.raw, base.layers, layers, (digest, len(config)), said
    )
    return digest, manifest


def _check_store(store: StoreView, base: BaseImage) -> None:
    """Raise ImporterError if the base has images where the store goes."""
    prefix: Path = path_of(store.prefix)
    for place in ((b"overlay-images", b"images.json"), (b"overlay-layers", b"layers.json")):
        there = base.found.get((*prefix, *place))
        if there is not None and (there.content is None or there.content.strip() not in _EMPTY):
            raise ImporterError(
                f"the base image has a store of its own at {store.prefix}",
                hint="embed into an image without a store, or import to another --prefix",
            )


_EMPTY = (b"", b"[]", b"null")


def _tell_platforms(store: StoreView, base: Image, progress: Progress) -> None:
    for image in store.images:
        if image.config.architecture != base.config.architecture:
            progress.message(
                f"{image.label} is for {image.platform}, and the base image for"
                f" {base.config.os}/{base.config.architecture}"
            )


def _tell_capabilities(written: tuple[Written, ...], progress: Progress) -> None:
    """Warn of images that an old bootc changes: it drops all xattrs of a layer's files (bootc,
    "tar: Propagate PAX extensions", in 1.1.3)."""
    names = sorted({name for one in written if one.capable for name in one.images})
    if names:
        progress.message(
            f"{', '.join(names)}: files have capabilities, which bootc before 1.1.3 does not keep"
        )
