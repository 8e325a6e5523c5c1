"""Check the documents of an image, manifests and config, and the keys and names of its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.errors import Fault, LayerError
from layers.oci.readable import check_image, check_index
from layers.oci.reference import ImageName
from layers.storage.image_record import SIGNATURE, big_data_file

if TYPE_CHECKING:
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from importer.verify.findings import Findings
    from layers.storage.image_record import ImageRecord


@dataclass(frozen=True, slots=True)
class DocumentCheck:
    """Checks the documents of a store's images, and adds faults to the findings."""

    store: StoreView
    findings: Findings

    def check_big_data(self, record: ImageRecord) -> None:
        """Check that each document is there under its key, and has the key's digest."""
        directory = f"overlay-images/{record.id}"
        for key in record.big_data:
            try:
                data = self.store.big_data(record, key)
                if key != "manifest" and not key.startswith(SIGNATURE):
                    Digest.parse(key.removeprefix("manifest-")).check(data, key)
            except Fault as error:
                place = f"{directory}/{big_data_file(key)}"
                self.findings.add(error.message, image=label(record), path=place)
        wanted = {"manifest", f"manifest-{record.digest}", f"sha256:{record.id}"}
        for key in sorted(wanted - set(record.big_data)):
            self.findings.add(f"images.json does not name its {key}", image=label(record))

    def check_readable(self, image: ImageView) -> None:
        """Report an image that podman cannot read: `podman images` then fails for the whole
        store."""
        try:
            for manifest in image.manifests:
                check_image(manifest, image.config)
            for index in image.indexes:
                check_index(index)
        except LayerError as error:
            self.findings.add(error.message, image=image.label)

    def check_digest_names(self, image: ImageView) -> None:
        """Check that each name with a digest has the digest of a manifest."""
        for name in image.names:
            try:
                parsed = ImageName.parse(name)
            except LayerError as error:
                self.findings.add(error.message, image=image.label)
                continue
            if parsed.digest is not None and parsed.digest not in image.digests:
                self.findings.add(
                    f"the name {name} has a digest of none of its manifests", image=image.label
                )


def record_digest(image: ImageView) -> Digest:
    """Return the record's digest if it is that of a manifest, or of an index with a manifest of
    the image; else the digest of a manifest."""
    manifests = [manifest.digest for manifest in image.manifests]
    listing = [
        index.digest
        for index in image.indexes
        if any(member.digest in manifests for member in index.manifests)
    ]
    digests = [*manifests, *listing]
    return image.record.digest if image.record.digest in digests else digests[0]


def label(record: ImageRecord) -> str:
    """Return an image's first name, or the beginning of its id."""
    return record.names[0] if record.names else record.id[:12]
