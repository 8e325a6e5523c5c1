"""The result of an import, for standard output."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from importer.cache.omitted import LeftOut, counted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from importer.cache.layer import LayerCommit
    from importer.ingest.cluster.request import ReadBy
    from layers.storage.image import Image, ImageLayer


@dataclass(frozen=True, slots=True)
class StoreCommit:
    """A branch with a store.

    `unchanged` if the branch had just this commit before. `store_ids` has the layers' ids in
    the store by their standard ids. `added_entries` counts the entries that a layer holds
    beside its own, by standard ids. `messages` are for the user.
    """

    branch: str
    commit: str
    unchanged: bool
    images: tuple[Image, ...]
    store_ids: Mapping[str, str]
    added_entries: Mapping[str, int]
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call. `fetched` are the standard ids of layers that the repo did not have
    before. `readers` are a cluster's workers, by the standard ids of the layers that they read.
    """

    stores: tuple[StoreCommit, ...]
    images: tuple[Image, ...]
    layers: dict[str, LayerCommit]
    fetched: frozenset[str]
    fetched_bytes: int
    readers: Mapping[str, ReadBy] = MappingProxyType({})

    @property
    def incomplete(self) -> bool:
        """False: an import has everything that was asked for, or fails."""
        return False

    @property
    def unchanged(self) -> bool:
        """Return whether no branch was moved."""
        return not self.fetched and all(store.unchanged for store in self.stores)

    def summary(self, seconds: float) -> str:
        """Return what the import did in so many seconds, as one line for people."""
        ids = {layer.id for image in self.images for layer in image.layers}
        reused = len(ids) - len(self.fetched & ids)
        branches = [store.branch for store in self.stores]
        where = f"; branch {branches[0]}" if len(branches) == 1 else ""
        return (
            f"{counted(len(self.images), 'image')}: {counted(len(self.fetched), 'layer')} fetched"
            f" and {reused} reused, {self.fetched_bytes:,} bytes in {seconds:.1f} s{where}"
        )

    def lines(self) -> list[str]:
        """Return the commits of the stores, or without stores those of the layers, base first."""
        if self.stores:
            return [store.commit for store in self.stores]
        ids = dict.fromkeys(layer.id for image in self.images for layer in image.layers)
        return [self.layers[layer_id].commit.checksum for layer_id in ids]

    def document(self) -> dict[str, Any]:
        """Return the JSON document. `commit` and `branch` are null unless there is exactly one."""
        only = self.stores[0] if len(self.stores) == 1 else None
        return {
            "commit": only.commit if only else None,
            "branch": only.branch if only else None,
            "unchanged": self.unchanged,
            "fetched_bytes": self.fetched_bytes,
            "images": [self._image(image) for image in self.images],
        }

    def _image(self, image: Image) -> dict[str, Any]:
        store = next((store for store in self.stores if image in store.images), None)
        place = {
            "commit": store.commit if store else None,
            "branch": store.branch if store else None,
        }
        ids, added = (store.store_ids, store.added_entries) if store else ({}, {})
        return described(image, self.layers, self.fetched, ids, added, self.readers) | place


def described(
    image: Image,
    layers: Mapping[str, LayerCommit],
    fetched: Collection[str],
    store_ids: Mapping[str, str],
    added: Mapping[str, int],
    readers: Mapping[str, ReadBy],
) -> dict[str, Any]:
    """Return an image for JSON.

    `fetched` are the standard ids of the layers that were not here before; `store_ids` are
    those in the store, which has none of the layers if the image is flattened. `added` counts the
    entries that layers hold beside their own. `readers` are a cluster's workers, by the
    standard ids of the layers that they read.
    """
    return {
        **identity(image),
        "layers": [
            _layer(layer, layers[layer.id], fetched, store_ids.get(layer.id))
            | ({"added_entries": added[layer.id]} if layer.id in added else {})
            | _reader(readers.get(layer.id))
            for layer in image.layers
        ],
    }


def identity(image: Image) -> dict[str, Any]:
    """Return an image's names and digests for JSON."""
    return {
        "reference": str(image.reference),
        "digest": str(image.digest),
        "image_id": image.id,
        "names": list(image.names),
    }


def _layer(
    layer: ImageLayer, found: LayerCommit, fetched: Collection[str], store_id: str | None
) -> dict[str, Any]:
    return {
        "digest": str(layer.blob.digest),
        "diff_id": str(layer.diff_id),
        "layer_id": layer.id,
        "store_layer_id": store_id,
        "commit": found.commit.checksum,
        "cached": layer.id not in fetched,
        "size": layer.blob.size,
        "whiteouts": found.whiteouts,
        "opaque": found.opaque,
        **LeftOut.of(found).document(),
        **({} if found.verified else {"verified": False}),
    }


def _reader(reader: ReadBy | None) -> dict[str, Any]:
    """Return the worker of a cluster that read a layer, nothing without a cluster."""
    if reader is None:
        return {}
    return {"read_by": {"worker": reader.worker, "seconds": round(reader.seconds, 3)}}
