"""Find the layers of an existing store for an import's plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.graphroot.job import StoreJob
from layers.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.graphroot.source import SourceImage, SourceLayer
    from importer.ingest.missing_layer import MissingLayer
    from importer.workers.job import Job
    from layers.storage.image import Image, ImageLayer
    from layers.tree.read_layer import LayerOptions, ReadLayer


@dataclass(frozen=True, slots=True)
class StoreOrigin:
    """An `importer.ingest.missing_layer.Origin`: a directory of the store.

    The layer is `verified` if its tar and the tars of all layers below can be rebuilt and checked.
    """

    layer: SourceLayer
    verified: bool = True

    @property
    def size(self) -> int:
        """See `Origin`: the tar's size in bytes, as the store recorded it."""
        return self.layer.size

    @property
    def source(self) -> str:
        """See `Origin`."""
        return printable(self.layer.store.path + b"/" + self.layer.directory)

    @property
    def blob(self) -> None:
        """See `Origin`: nothing is fetched."""

    def job(
        self,
        layer: ImageLayer,
        options: LayerOptions,
        timeout: float,  # noqa: ARG002 - a disk is not silent
    ) -> Job[ReadLayer]:
        """See `Origin`."""
        return StoreJob(layer, self.layer, self.verified, options)


def store_origins(images: Iterable[tuple[Image, SourceImage]]) -> dict[str, StoreOrigin]:
    """Return each layer's origin by layer id. If the store has a layer twice, prefer the one with
    a tar-split record."""
    found: dict[str, StoreOrigin] = {}
    for image, source in images:
        for layer, place in zip(image.layers, source.layers or (), strict=True):
            known = found.setdefault(layer.id, StoreOrigin(place))
            if known.layer.record is None and place.record is not None:
                found[layer.id] = StoreOrigin(place)
    return found


def with_trust(missing: Iterable[MissingLayer], *, verified_only: bool) -> tuple[MissingLayer, ...]:
    """Return the missing layers, parents before children, each marked as verified or not.

    Raise ImporterError for a layer that cannot be verified if `verified_only`.
    """
    unverified: set[str] = set()
    marked = []
    for one in missing:
        origin = one.origins[0]
        assert isinstance(origin, StoreOrigin)  # noqa: S101 - every layer of a store has one
        has_record = origin.layer.record is not None
        if not has_record and verified_only:
            raise ImporterError(
                f"layer {one.layer.diff_id} has no tar-split record to verify it by",
                hint="pull the image again, or leave --verified-only out",
            )
        if not has_record or unverified.intersection(one.layer.parents):
            unverified.add(one.layer.id)
        trusted = replace(origin, verified=one.layer.id not in unverified)
        marked.append(replace(one, origins=(trusted,)))
    return tuple(marked)
