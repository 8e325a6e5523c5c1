"""A containers-storage graphroot of the overlay driver, read as it lies on disk.

Layout: github.com/containers/storage docs/containers-storage-driver-overlay.md. Files that
concern this machine only are ignored: containers, locks, mount points, `backingFsBlockDev`.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.graphroot.job import DAMAGED
from importer.graphroot.source import (
    SourceImage,
    SourceLayer,
    StorePlace,
    documents,
    records,
    stacked,
)
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE, MAX_RECORDS_SIZE
from layers.errors import LayerError, printable
from layers.oci.config import parse_config
from layers.oci.manifest import Index, Manifest, parse_manifest, parse_single
from layers.oci.reference import stored_reference
from layers.storage.artifact import INDEX, digest_of, name_of, parse_index
from layers.storage.image import Image
from layers.storage.image_record import MANIFEST, ImageRecord, any_images, big_data_file
from layers.storage.layer_record import LayerRecord, any_layers, complete_chain
from layers.storage.mounted import blocker_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.files.foreign import ForeignDirectory

_OTHER_LAYERS = (
    "the image was flattened, or the store is damaged; import-image takes it from its registry"
)
_IS_LIST = "it is a manifest list, and no image"
_LIST = "name its images by the digests that `podman manifest inspect` shows"


class Graphroot:
    def __init__(self, directory: ForeignDirectory) -> None:
        self._directory = directory
        self._place = StorePlace.of(directory)
        # podman writes a layer's record before its image's, and removes it after. Images are read
        # first, so that each has its layers listed, even if podman changes the store meanwhile.
        self._images = self._parsed("overlay-images/images.json", any_images)
        self._layers = self._parsed("overlay-layers/layers.json", any_layers)

    @cached_property
    def _records(self) -> dict[str, ImageRecord]:
        return {record.id: record for record in self._images}

    def images(self) -> list[SourceImage]:
        return [self._image(record) for record in self._images]

    def load(self, image: SourceImage) -> Image:
        """Return an image from the documents beside images.json. Raise LayerError if a document
        does not have its digest."""
        record = self._records[image.id]
        with documents(str(image)):
            manifest = parse_single(self._manifest(record))
            kept = self._documents(record)
            indexes = [document for document in kept if isinstance(document, Index)]
            config = parse_config(self._big_data(record, str(manifest.config.digest)), manifest)
            self._check_chain(record, config.diff_ids)
            return Image(
                stored_reference(record.names, f"containers-storage:@{record.id}"),
                os.fsdecode(self._directory.path),
                manifest,
                config,
                indexes[0] if len(indexes) == 1 else None,
                kept_names=record.names,
                kept_documents=kept,
            )

    def artifacts(self) -> list[str]:
        """Return the names of the artifacts beside the images."""
        name = INDEX.encode()
        raw = self._directory.read(name, MAX_RECORDS_SIZE)
        with records(self._directory.full(name)):
            return [name_of(entry) or str(digest_of(entry)) for entry in parse_index(raw)]

    def _parsed[T](self, path: str, parse: Callable[[bytes], T]) -> T:
        name = os.fsencode(path)
        data = self._directory.read(name, MAX_RECORDS_SIZE)
        if data is None:
            raise ImporterError(f"{printable(self._directory.path)} has no {path}")
        with records(self._directory.full(name)):
            return parse(data)

    def _image(self, record: ImageRecord) -> SourceImage:
        with documents(record.label):
            digests = record.manifests
        if record.is_list:
            return SourceImage(record.id, record.names, digests, None, _IS_LIST, _LIST)
        chain = complete_chain(self._layers, record.layer)
        layers = [self._layer(layer) for layer in chain or ()]
        complete = chain is not None and all(
            self._directory.is_there(layer.directory) for layer in layers
        )
        return SourceImage(record.id, record.names, digests, stacked(layers) if complete else None)

    def _layer(self, layer: LayerRecord) -> SourceLayer:
        record = f"overlay-layers/{layer.id}.tar-split.gz".encode()
        kept = record if self._directory.is_there(record) else None
        directory = f"overlay/{layer.id}/diff".encode()
        return SourceLayer(self._place, directory, kept, layer.diff_size)

    def _manifest(self, record: ImageRecord) -> bytes:
        """Return the manifest that the store uses. Raise LayerError if the store has manifests by
        digest, and this is none of them."""
        raw = self._big_data(record, "manifest")
        digests = record.manifests
        if digests and not any(Digest.of(raw, digest.algorithm) == digest for digest in digests):
            raise LayerError("its manifest has none of its manifests' digests", hint=DAMAGED)
        return raw

    def _documents(self, record: ImageRecord) -> tuple[Manifest | Index, ...]:
        documents = []
        for digest in sorted(record.manifests):
            key = f"{MANIFEST}{digest}"
            raw = digest.check(self._big_data(record, key), key)
            documents.append(parse_manifest(raw, digest.algorithm))
        return tuple(documents)

    def _big_data(self, record: ImageRecord, key: str) -> bytes:
        path = os.fsencode(f"overlay-images/{record.id}/{big_data_file(key)}")
        data = self._directory.read(path, MAX_DOCUMENT_SIZE)
        if data is None:
            full = self._directory.shown(path)
            raise ImporterError(f"{full} is missing", hint="pull the image again")
        return data

    def _check_chain(self, record: ImageRecord, diff_ids: tuple[Digest, ...]) -> None:
        """Raise LayerError if the store's layers differ from the config's."""
        layers = complete_chain(self._layers, record.layer) or ()
        if len(layers) != len(diff_ids):
            raise LayerError(
                f"the store has {len(layers)} layers of it, the config's diff_ids {len(diff_ids)}"
            )
        for layer, diff_id in zip(layers, diff_ids, strict=True):
            self._check_plain(layer)
            self._check_own(layer)
            if layer.diff not in (None, diff_id):
                raise LayerError(
                    f"layer {layer.id} is {layer.diff}, the config says {diff_id}",
                    hint=_OTHER_LAYERS,
                )

    def _check_own(self, layer: LayerRecord) -> None:
        """Raise ImporterError for a layer whose directory may hold files of the layers below, as
        in a store of ours without whiteouts, if no tar-split record tells what is its own."""
        lower = f"overlay/{layer.id}/lower".encode()
        blocker = f"overlay/{blocker_of(layer.id).id}".encode()
        plain = self._directory.is_there(lower) and not self._directory.is_there(blocker)
        if layer.parent and not plain and self._layer(layer).record is None:
            raise ImporterError(
                f"layer {layer.id} has no tar-split record, and its directory may hold files of the"
                " layers below, too",
                hint="import the image from its registry",
            )

    def _check_plain(self, layer: LayerRecord) -> None:
        """Raise ImporterError if the layer was pulled with use_composefs: it has a directory of
        objects named by their digests."""
        if self._directory.is_there(f"overlay/{layer.id}/composefs-data".encode()):
            raise ImporterError(
                f"layer {layer.id} is kept as composefs objects, which we cannot read",
                hint='pull the image into a store without use_composefs = "true"',
            )
