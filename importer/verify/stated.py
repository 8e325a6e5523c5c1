"""Compare a store with what its commit says: its images' names, and how its layers delete files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.stack import deletes
from importer.errors import ImporterError
from importer.store.whiteouts import recorded_whiteouts
from importer.verify.documents import label
from layers.errors import LayerError
from layers.storage.layer_id import StoreForm, form_of

if TYPE_CHECKING:
    from importer.verify.records import RecordCheck
    from layers.storage.stated_image import StatedImage

_FORMS = {StoreForm.QUOTED, StoreForm.NONE}


def check_names(records: RecordCheck) -> None:
    """Report images and names that the commit states and the store lacks.

    A merged store may have images that the commit does not name. Without some of the records, which
    are reported already, nothing is checked.
    """
    if not records.all_records:
        return
    try:
        for stated in records.store.stated:
            _check_name(records, stated)
    except LayerError as error:  # the release in the metadata
        records.findings.add(error.message)


def _check_name(records: RecordCheck, stated: StatedImage) -> None:
    key = f"manifest-{stated.digest}"
    images = [record for record in records.records.values() if key in record.big_data]
    if not images:
        problem = f"the commit says that it is there, and no image has digest {stated.digest}"
        records.findings.add(problem, image=stated.reference)
    elif not any(stated.is_among(record.names) for record in images):
        problem = f"lacks the name {stated.name}, which the commit says that it has"
        records.findings.add(problem, image=label(images[0]))


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
    try:
        if diff is not None and deletes(diff):
            problem = "has whiteouts, in a store without whiteouts"
            records.findings.add(problem, layer=layer_id)
    except ImporterError as error:
        records.findings.add(error.message, layer=layer_id)
