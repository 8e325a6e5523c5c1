"""`image-store embed`: put a store into a container image."""

from __future__ import annotations

import os
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from importer.commit.contents import other_stores
from importer.commit.target import EngineOptions, ExistingStore
from importer.embed.base_image import fetch_base, resolve_base, tell_platforms
from importer.embed.destination import destination
from importer.embed.extra_files import ExtraFiles
from importer.embed.image_layers import ImageLayers
from importer.embed.layer_tar import tell_xattrs
from importer.embed.present_store import present_store, watched_size
from importer.embed.store_layers import store_layers
from importer.errors import ImporterError
from importer.fetch.blobs import Blobs
from importer.render.table import Block, Text
from importer.repo.writer import Repo
from importer.store.reader import open_store
from layers.digest import Digest
from layers.frozen import frozen
from layers.oci.derive import STORE_COMMIT, Derivation, derived_config, derived_manifest
from layers.oci.manifest import Descriptor
from layers.oci.media_type import OCI_CONFIG
from layers.storage.packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path as FilePath

    from importer.embed.destination import Published
    from importer.embed.layer_tar import WrittenLayer
    from importer.embed.store_layers import StoreLayers
    from importer.fetch.skopeo import Skopeo
    from importer.progress import Progress
    from importer.store.reader import StoreView
    from layers.compress.compress import BlobCompression
    from layers.oci.derive import NewLayer
    from layers.oci.reference import Reference
    from layers.path import Path
    from layers.storage.image import Image
    from layers.storage.packing import Pack, Packing

_EPOCH = "SOURCE_DATE_EPOCH"
_BELOW = "/usr/"


@frozen
class EmbedJob:
    """The options of an embedding.

    `base` is the base image. If there is a `rootfs`, a directory, the base gives the config alone.
    Without both, the new image has nothing but the store.
    `prefix` is the store's directory in the branch, None for the directory in the metadata.
    `jobs` layers are packed at once, and `downloads` blobs fetched. `bound` stands for --bound,
    `equivalence` for --selinux-equivalence. The image may have `max_layers` layers, the base's
    included. `small` keeps updates or the whole image small. `device_units`
    adds the program for devices. `existing` and `engines` are as in a Target.
    """

    repo: FilePath
    branch: str
    prefix: str | None
    base: Reference | None
    to: Reference
    skopeo: Skopeo
    jobs: int
    downloads: int
    labels: Mapping[str, str]
    bound: bool
    equivalence: bool
    compression: BlobCompression
    max_layers: int
    small: Pack
    device_units: bool = False
    rootfs: FilePath | None = None
    existing: ExistingStore = ExistingStore.ERROR
    engines: EngineOptions = field(default_factory=EngineOptions)


@frozen
class Embedded:
    """The new image: its place, its config's digest, and its layers on top of the base's. `status`
    is the command's exit status."""

    job: EmbedJob
    published: Published
    config: Digest
    base: Image
    store: StoreView
    layers: tuple[WrittenLayer, ...]
    present: frozenset[str]
    status: int = 0

    def blocks(self) -> list[Block]:
        """Return the manifest's digest alone, as an import prints its commit."""
        return [Text(str(self.published.digest))]

    def document(self) -> dict[str, object]:
        return {
            "destination": self.job.to,  # as the command line has it
            "digest": self.published.digest,  # the manifest's digest at the destination
            # whether the destination had just this image before
            "unchanged": self.published.unchanged,
            "image_id": self.config.hex,  # the new image's id
            **base_keys(self.job, self.base, self.store),
            # [WrittenLayer]: a list of the layers on top of the base's, in the image's order
            "layers": self.layers,
            # the ids of the branch's layers that the base's store has
            "base_store_layers": sorted(self.present),
        }


def base_keys(job: EmbedJob, base: Image, store: StoreView) -> dict[str, object]:
    return {
        "base": job.base,  # the base image, as the command line has it; `null` without --base
        # its digest; `null` with --rootfs
        "base_digest": base.digest if job.rootfs is None else None,
        "rootfs": job.rootfs,  # the directory; `null` without --rootfs
        "base_layers": len(base.layers),  # number of the base's layers, of which --rootfs has one
        "branch": store.branch,  # the store's branch
        "commit": store.commit.checksum,  # the store's commit
    }


def embed(job: EmbedJob, progress: Progress) -> Embedded:
    """Put the store into the base image, and write the result to its destination.

    Raise ImporterError if the store has whiteouts, or cannot be put beside the base's own store.
    The destination then still has its old image; a layout may have new blobs that no manifest
    names.
    """
    repo = Repo.open(job.repo)
    store = open_store(repo, job.branch, job.prefix)
    _tell_place(store, progress)
    stored, extra = store_layers(repo, store), ExtraFiles(store, job)
    _time()  # a malformed value ends the command before anything is fetched
    with Blobs(job.skopeo, progress) as blobs, destination(job.to, job.skopeo) as place:
        image = resolve_base(job, store, blobs, place.layout, progress)
        tell_platforms(store, image, progress)
        base = fetch_base(image, blobs, place.layout, job.downloads, wanted(store, extra))
        present = present_store(job.existing, store, base)
        for message in (*other_stores(base.tree, store.prefix), *present.told(store)):
            progress.message(message)
        stored = stored.without(present.layers)
        packing = packed_layers(job, stored, len(image.layers) + bool(present.removed))
        layers = ImageLayers(repo, store, job, packing, stored, present, extra)
        written = layers.write(place.layout, base, progress)
        new = [each.layer for each in written]
        config, manifest = new_documents(job, store, image, base.layers, new)
        place.layout.write(Digest.of(config), iter([config]))
        published = place.publish(manifest)
    tell_xattrs(written, progress)
    there = present.layers
    return Embedded(job, published, Digest.of(config), image, store, written, there)


def _tell_place(store: StoreView, progress: Progress) -> None:
    """Report a store at a prefix that bootc's ostree backend may leave out of a deployment (bootc,
    tar/write.rs, `normalize_validate_path`, and ostree_prepareroot.rs)."""
    if not store.prefix.startswith(_BELOW):
        progress.message(
            f"the store is at {store.prefix}; of a base whose prepare-root.conf enables neither"
            " composefs nor a transient root, bootc takes only what is below /usr and /etc"
        )


def packed_layers(job: EmbedJob, layers: StoreLayers, below: int) -> Packing:
    """Pack the store's layers on top of a base with `below` layers.

    Raise ImporterError if the image would have more layers than --max-layers allows.
    """
    room = job.max_layers - below - 1
    packing = pack(layers.packed, room, job.small)
    if len(packing.groups) > room:
        raise ImporterError(
            f"the image would have {below + len(packing.groups) + 1} layers, more"
            f" than {job.max_layers}",
            hint="--max-layers allows more; podman takes 500, Docker 127",
        )
    return packing


def wanted(store: StoreView, extra: ExtraFiles) -> Callable[[Path], int | None]:
    """Return a function that tells how much of a file of the base has to be read, in bytes."""

    def most(path: Path) -> int | None:
        sizes = (watched_size(store, path), extra.watched_size(path))
        return max((size for size in sizes if size is not None), default=None)

    return most


def _time() -> int | None:
    """Return the time in SOURCE_DATE_EPOCH (reproducible-builds.org), None if it is not set."""
    text = os.environ.get(_EPOCH)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 11:
        raise ImporterError(f"{_EPOCH} is {text[:40]!r}, not seconds since 1970")
    return int(text)


def _derivation(job: EmbedJob, store: StoreView, base: Image) -> Derivation:
    below = job.base if job.rootfs is None else None
    name = below.name if below is not None and below.transport == "docker" else None
    seconds = _time()
    if seconds is None:
        seconds = max(base.config.created_seconds, store.commit.message.timestamp)
    return Derivation(
        f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}",
        str(name) if name is not None else "",
        base.digest if below is not None else None,
        job.labels,
        {STORE_COMMIT: store.commit.checksum},
    )


def new_documents(
    job: EmbedJob,
    store: StoreView,
    base: Image,
    base_layers: Sequence[Descriptor],
    layers: Sequence[NewLayer],
) -> tuple[bytes, bytes]:
    """Return the config and the manifest of the base with these layers on top. `base_layers` are
    the blobs of the base's own layers in the new image."""
    derivation = _derivation(job, store, base)
    config = derived_config(base.config.raw, layers, derivation)
    blob = Descriptor(OCI_CONFIG, Digest.of(config), len(config))
    return config, derived_manifest(base.manifest.raw, base_layers, layers, blob, derivation)
