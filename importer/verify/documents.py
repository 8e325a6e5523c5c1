"""Check an image's manifests and config, the keys and names of its record, and what the commit says
of images' names and of how layers delete files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.stack import deletes
from importer.store.layers import recorded_whiteouts
from layers.digest import Digest
from layers.oci.readable import check_image, check_index
from layers.oci.reference import ImageName
from layers.storage.image_record import SIGNATURE, big_data_file
from layers.storage.layer_id import StoreForm, form_of

if TYPE_CHECKING:
    from importer.store.image import ImageView
    from importer.store.reader import StoreView
    from importer.verify.findings import Findings
    from importer.verify.records import RecordCheck
    from layers.storage.image_record import ImageRecord
    from layers.storage.stated_image import StatedImage


def check_big_data(store: StoreView, findings: Findings, record: ImageRecord) -> None:
    """Check that each document is there under its key, and has the key's digest."""
    directory = f"overlay-images/{record.id}"
    for key in record.big_data:
        place = f"{directory}/{big_data_file(key)}"
        with findings.faults(image=record.label, path=place):
            data = store.big_data(record, key)
            if key != "manifest" and not key.startswith(SIGNATURE):
                Digest.parse(key.removeprefix("manifest-")).check(data, key)
    wanted = {"manifest", f"manifest-{record.digest}", f"sha256:{record.id}"}
    for key in sorted(wanted - set(record.big_data)):
        findings.add(f"images.json does not name its {key}", image=record.label)


def check_readable(findings: Findings, image: ImageView) -> None:
    """Report an image that podman cannot read: `podman images` then fails for the whole
    store."""
    with findings.faults(image=image.label):
        for manifest in image.manifests:
            check_image(manifest, image.config)
        for index in image.indexes:
            check_index(index)


def check_digest_names(findings: Findings, image: ImageView) -> None:
    """Check that each name with a digest has the digest of a manifest."""
    for name in image.names:
        with findings.faults(image=image.label):
            digest = ImageName.parse(name).digest
            if digest is not None and digest not in image.digests:
                problem = f"the name {name} has a digest of none of its manifests"
                findings.add(problem, image=image.label)


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


_FORMS = {StoreForm.QUOTED, StoreForm.NONE}


def check_names(records: RecordCheck) -> None:
    """Report images and names that the commit states and the store lacks.

    A merged store may have images that the commit does not name. Without some of the records, which
    are reported already, nothing is checked.
    """
    if not records.all_records:
        return
    with records.findings.faults():  # the release in the metadata
        for stated in records.store.stated:
            _check_name(records, stated)


def _check_name(records: RecordCheck, stated: StatedImage) -> None:
    key = f"manifest-{stated.digest}"
    images = [record for record in records.records.values() if key in record.big_data]
    if not images:
        problem = f"the commit says that it is there, and no image has digest {stated.digest}"
        records.findings.add(problem, image=stated.reference)
    elif not any(stated.is_among(record.names) for record in images):
        problem = f"lacks the name {stated.name}, which the commit says that it has"
        records.findings.add(problem, image=images[0].label)


def check_forms(records: RecordCheck) -> None:
    """Report a store of two forms, and layers of another form than the commit tells."""
    findings, ids = records.findings, records.standard_ids
    forms = {layer: form_of(layer, ids[layer]) for layer in records.layers if layer in ids}
    present = _FORMS.intersection(forms.values())
    stated = recorded_whiteouts(records.store.commit)
    if len(present) == 2:
        findings.add("the store has layers of two forms: with whiteouts, and without")
    elif stated is not None and present and stated.form not in present:
        findings.add(
            f"the layers have the ids of --whiteouts={present.pop().value}; the commit says"
            f" --whiteouts={stated.value}"
        )
    if StoreForm.NONE in forms.values():
        for layer_id, form in forms.items():
            if form is not StoreForm.NONE:
                _check_plain(records, layer_id)


def _check_plain(records: RecordCheck, layer_id: str) -> None:
    diff = records.store.root.find(f"overlay/{layer_id}/diff")
    with records.findings.faults(layer=layer_id):
        if diff is not None and deletes(diff):
            problem = "has whiteouts, in a store without whiteouts"
            records.findings.add(problem, layer=layer_id)
