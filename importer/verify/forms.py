"""Check that all layers of a store delete files in the same way, the one that its commit tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.stack import deletes
from importer.errors import ImporterError
from importer.store.whiteouts import said_whiteouts
from layers.storage.store_id import StoreForm, form_of

if TYPE_CHECKING:
    from importer.store.reader import StoreView
    from importer.verify.findings import Findings
    from importer.verify.records import RecordCheck

_FORMS = {StoreForm.QUOTED, StoreForm.NONE}


def check_forms(store: StoreView, records: RecordCheck, findings: Findings) -> None:
    """Report a store of two forms, and layers of another form than the commit tells."""
    known = records.standard_ids
    forms = {one: form_of(one, known[one]) for one in records.layers if one in known}
    present = _FORMS.intersection(forms.values())
    said = said_whiteouts(store.commit)
    if len(present) == 2:
        findings.add("the store has layers of two forms: with whiteouts, and without")
    elif said is not None and present and said.form not in present:
        found = present.pop().value
        findings.add(
            f"the layers have the ids of --whiteouts={found}; the commit says"
            f" --whiteouts={said.value}"
        )
    if StoreForm.NONE in forms.values():
        for one in (one for one, form in forms.items() if form is not StoreForm.NONE):
            _check_plain(store, one, findings)


def _check_plain(store: StoreView, layer_id: str, findings: Findings) -> None:
    diff = store.root.find(f"overlay/{layer_id}/diff")
    try:
        if diff is not None and deletes(diff):
            findings.add("has whiteouts, in a store without whiteouts", layer=layer_id)
    except ImporterError as error:
        findings.add(error.message, layer=layer_id)
