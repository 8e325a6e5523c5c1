"""Check a store's records against each other and against the files beside them.

Everything in a record follows from the images' own manifests and configs. So each record is made
again from these documents, and compared field by field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from importer.store.image import read_image
from importer.store.layers import IMAGES, LAYERS, blocker_in, is_cut
from importer.verify.documents import (
    check_big_data,
    check_digest_names,
    check_readable,
    record_digest,
)
from layers.document import parse_records
from layers.errors import Fault
from layers.storage.image_record import SIGNATURE, StoredImage, own_image
from layers.storage.layer_id import possible_ids
from layers.storage.layer_record import chain, own_layer, standard_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.repo.values import RepoDirectory
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from importer.verify.findings import Findings
    from layers.document import Document
    from layers.oci.manifest import Descriptor
    from layers.storage.image_record import ImageRecord
    from layers.storage.layer_record import LayerRecord


@dataclass
class RecordCheck:
    """Reads all records. A record that cannot be read is a finding, and the others are still read.

    Some checks need all records. `all_layers` and `all_records` tell whether each record could be
    read, `all_images` whether each image's documents are valid too.
    """

    store: StoreView
    findings: Findings
    layers: dict[str, LayerRecord] = field(default_factory=dict)
    standard_ids: dict[str, str] = field(default_factory=dict)
    records: dict[str, ImageRecord] = field(default_factory=dict)
    images: list[ImageView] = field(default_factory=list)
    all_layers: bool = True
    all_records: bool = True
    all_images: bool = True

    def run(self) -> None:
        """Read the records, then check them."""
        layers, self.all_layers = self._read(LAYERS, own_layer)
        images, self.all_records = self._read(IMAGES, own_image)
        for record in layers:
            self._add_layer(record)
        for image in images:
            if image.id in self.records:
                self.findings.add("images.json has it twice", image=image.label)
            self.records[image.id] = image
        self.all_images = self.all_layers and self.all_records
        self.standard_ids = standard_ids(self.layers)
        for record in self.layers.values():
            if not self._has_right_id(record):
                problem = "its id does not follow from its diffID and parent"
                self.findings.add(problem, layer=record.id)
        for image in self.records.values():
            self._check_image(image)
        self._check_names()

    @cached_property
    def cut(self) -> frozenset[str]:
        """Return the ids of the cut layers: those that hold the layers below, too."""
        ids = self.standard_ids
        return frozenset(
            record.id
            for record in self.layers.values()
            if record.parent and is_cut(self.store.root, record.id, ids.get(record.id, ""))
        )

    @cached_property
    def blockers(self) -> dict[str, RepoDirectory]:
        """The blockers of layers that hold some directories whole, by the layers' ids."""
        return {
            record.id: blocker
            for record in self.layers.values()
            if record.parent and (blocker := blocker_in(self.store.root, record.id)) is not None
        }

    def blobs(self, layer_id: str) -> list[Descriptor]:
        """Return the blobs that images name for a layer, by its id in the store; none unless all
        images could be read.

        A flattened image does not have the layer. In a store that images were merged into, a
        layer's record may still be the one that such an image brought.
        """
        standard_id = self.standard_ids.get(layer_id)
        if standard_id is None or not self.all_images:
            return []
        return [blob for image in self.images for blob in image.blobs(standard_id)]

    def _read[R](self, path: str, parse: Callable[[Document], R]) -> tuple[list[R], bool]:
        """Return the records of a file that can be read, and whether all can."""
        records = []
        with self.findings.faults(path=path):
            documents = parse_records(self.store.records(path), path.partition("/")[2])
            for document in documents:
                with self.findings.faults(path=path):
                    records.append(parse(document))
            return records, len(records) == len(documents)
        return [], False

    def _add_layer(self, record: LayerRecord) -> None:
        if record.id in self.layers:
            self.findings.add("layers.json has it twice", layer=record.id)
        if record.parent and record.parent not in self.layers:
            self.findings.add("layers.json has its parent not before it", layer=record.id)
        self.layers[record.id] = record

    def _has_right_id(self, record: LayerRecord) -> bool:
        standard_id = self.standard_ids.get(record.id)
        return standard_id is not None and record.id in possible_ids(standard_id)

    def _check_image(self, record: ImageRecord) -> None:
        check_big_data(self.store, self.findings, record)
        if not self.all_layers:
            return
        try:
            chain(self.layers, record.layer)
            image = read_image(self.store, record)
            signatures = self.store.signatures(record)
            data = {
                key: self.store.big_data(record, key)
                for key in record.big_data
                if not key.startswith(SIGNATURE)
            }
        except Fault as error:
            self.all_images = False
            self.findings.add(error.message, image=record.label)
            return
        self.images.append(image)
        check_readable(self.findings, image)
        self._check_top(image)
        stored = StoredImage(
            image.manifest.config.digest.hex,
            record_digest(image),
            record.names,
            record.layer,
            image.config.created,
            data,
            record.kept_from,
            signatures,
        )
        self.check_fields(record.document, stored.record(), image=record.label)
        if f"manifest-{image.manifest.digest}" not in record.big_data:
            self.findings.add("its manifest is not there under its digest", image=record.label)
        check_digest_names(self.findings, image)

    def _check_top(self, image: ImageView) -> None:
        """Check that an image has its own layers, or as many flattened ones: all empty but the top
        one.
        """
        if not image.flattened or not all(map(self._has_right_id, image.layers)):
            return
        lower = image.layers[:-1]
        empty = all(self._is_empty(layer) for layer in lower)
        if len(image.layers) != len(image.config.diff_ids) or not empty:
            self.all_images = False
            self.findings.add(
                "its top layer is not the one that its config's diff_ids give", image=image.label
            )

    def _is_empty(self, layer: LayerRecord) -> bool:
        diff = self.store.root.find(f"overlay/{layer.id}/diff")
        return diff is not None and not diff.leaves and not diff.directories

    def _check_names(self) -> None:
        """Report names that several images have: podman takes the first one."""
        owners: dict[str, list[str]] = {}
        for record in self.records.values():
            for name in record.names:
                owners.setdefault(name, []).append(record.id[:12])
        for name, ids in owners.items():
            if len(ids) > 1:
                self.findings.add(f"several images have the name: {', '.join(ids)}", image=name)

    def check_fields(
        self, record: Document, expected: Document, *, image: str = "", layer: str = ""
    ) -> None:
        """Compare a record with the one that follows from the documents, or from a layer's tar."""
        for key in sorted(record.keys() | expected.keys()):
            if record.get(key) != expected.get(key):
                problem = (
                    f"its record's {key} is {_shown(record, key)}, not {_shown(expected, key)}"
                )
                self.findings.add(problem, image=image, layer=layer)


def _shown(record: Document, key: str) -> str:
    return f"{str(record[key])[:100]}" if key in record else "absent"
