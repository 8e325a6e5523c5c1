"""An existing store of images, of any kind: its images, and where their layers are."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path as DiskPath
from typing import TYPE_CHECKING, Self

from importer.errors import ImporterError, layer_faults
from importer.files.foreign import ForeignDirectory
from importer.graphroot.job import DAMAGED, StoreJob
from layers.errors import CHANGED, LayerError, printable
from layers.frozen import frozen
from layers.storage.select_image import NamedImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from importer.ingest.missing_layer import MissingLayer
    from importer.progress import Progress
    from importer.workers.job import Job
    from layers.limits import LayerOptions
    from layers.path import Path
    from layers.storage.image import Image, ImageLayer
    from layers.tree.read_layer import ReadLayer


@cache
def _boot() -> str:
    """Return the id of this kernel's boot: random(4), /proc/sys/kernel/random/boot_id."""
    return DiskPath("/proc/sys/kernel/random/boot_id").read_text().strip()


@frozen
class StorePlace:
    """Path, device and inode of a store's directory, for a worker process that opens it again.

    Each kernel gives a shared file system a device number of its own; `boot` is the kernel's id.
    """

    path: bytes
    device: int
    inode: int
    boot: str

    @classmethod
    def of(cls, directory: ForeignDirectory) -> Self:
        status = os.fstat(directory.descriptor)
        return cls(directory.path, status.st_dev, status.st_ino, _boot())

    def open(self) -> ForeignDirectory:
        """Open the directory. Raise ImporterError if another directory has taken its place."""
        directory = ForeignDirectory.named(DiskPath(os.fsdecode(self.path)))
        now = StorePlace.of(directory)
        same_device = self.device == now.device or self.boot != now.boot
        if not same_device or self.inode != now.inode:
            directory.close()
            raise ImporterError(f"{printable(self.path)} was replaced while it was read")
        return directory


@frozen
class SourceLayer:
    """An `importer.ingest.missing_layer.Origin`: a layer's files in a store.

    `directory` and the tar-split `record`, if the store keeps one, are paths relative to the
    store's own directory, as are `lowers`, the directories of the layers below, nearest first.
    `size` is the tar's in bytes as the store recorded it, 0 if it did not. The layer is `verified`
    if its tar and the tars of all layers below can be rebuilt and checked.
    """

    store: StorePlace
    directory: bytes
    record: bytes | None
    size: int
    lowers: tuple[bytes, ...] = ()
    verified: bool = True

    @property
    def source(self) -> str:
        return printable(self.store.path + b"/" + self.directory)

    @property
    def blob(self) -> None:
        """See `Origin`: nothing is fetched."""

    def job(
        self,
        layer: ImageLayer,
        options: LayerOptions,
        timeout: float,  # noqa: ARG002 - a disk is not silent
    ) -> Job[ReadLayer]:
        return StoreJob(layer.diff_id, self, options)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the paths of the layer's directory and of those below it."""
        return tuple(tuple(path.split(b"/")) for path in (self.directory, *self.lowers))


def stacked(layers: Sequence[SourceLayer]) -> tuple[SourceLayer, ...]:
    """Return an image's layers, base first, each with its lowers."""
    directories = [layer.directory for layer in layers]
    return tuple(
        replace(layer, lowers=tuple(reversed(directories[:number])))
        for number, layer in enumerate(layers)
    )


@frozen
class SourceImage(NamedImage):
    """An image of a store; `layers` base first, None if it cannot be taken, as `fault` says."""

    layers: tuple[SourceLayer, ...] | None
    fault: str = "not all of its layers are in the store"
    hint: str = "pull it there again"

    def __str__(self) -> str:
        return self.names[0] if self.names else self.id[:12]


def records(path: bytes) -> AbstractContextManager[None]:
    """Turn a LayerError about a record into an ImporterError: the store is damaged, no image."""
    return layer_faults(printable(path), "the store is damaged")


@contextmanager
def documents(image: str) -> Iterator[None]:
    """Name the image in errors. A digest that does not match gets a hint that the store is
    damaged, since the documents were verified when the image was pulled."""
    try:
        yield
    except LayerError as error:
        if error.hint == CHANGED:
            error.hint = DAMAGED
        raise error.within(digest=f"image {image}") from None


def store_origins(images: Iterable[tuple[Image, SourceImage]]) -> dict[str, SourceLayer]:
    """Return each layer's origin by layer id. If the store has a layer twice, prefer the one with
    a tar-split record."""
    origins: dict[str, SourceLayer] = {}
    for image, source in images:
        for layer, place in zip(image.layers, source.layers or (), strict=True):
            origin = origins.setdefault(layer.id, place)
            if origin.record is None and place.record is not None:
                origins[layer.id] = place
    return origins


def with_trust(
    missing: Iterable[MissingLayer], progress: Progress, *, verified_only: bool
) -> tuple[MissingLayer, ...]:
    """Return the missing layers, parents before children, each marked as verified or not.

    Report each layer that cannot be verified; raise ImporterError for it if `verified_only`.
    """
    unverified: set[str] = set()
    marked = []
    for layer in missing:
        origin = layer.origins[0]
        assert isinstance(origin, SourceLayer)  # noqa: S101 - every layer of a store is one
        has_record = origin.record is not None
        if not has_record and verified_only:
            raise ImporterError(
                f"layer {layer.layer.diff_id} has no tar-split record to verify it by",
                hint="pull the image again, or leave --verified-only out",
            )
        if not has_record:
            progress.message(
                f"layer {layer.layer.diff_id}: no tar-split record; taken as its directory is,"
                " unverified"
            )
        if not has_record or unverified.intersection(layer.layer.parents):
            unverified.add(layer.layer.id)
        trusted = replace(origin, verified=layer.layer.id not in unverified)
        marked.append(replace(layer, origins=(trusted,)))
    return tuple(marked)
