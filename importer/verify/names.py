"""Check the images of a store and their names against what its commit says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.verify.records import label
from layers.errors import LayerError

if TYPE_CHECKING:
    from importer.store.reader import StoreView
    from importer.verify.findings import Findings
    from importer.verify.records import RecordCheck
    from layers.storage.stated_image import StatedImage


@dataclass(frozen=True, slots=True)
class NameCheck:
    """Checks names after the records were read.

    A merged store may have images that the commit does not name.
    """

    store: StoreView
    records: RecordCheck
    findings: Findings

    def run(self) -> None:
        """Check the names, if all records could be read; the others' faults are known then."""
        if not self.records.all_records:
            return
        try:
            for stated in self.store.stated:
                self._check(stated)
        except LayerError as error:  # the release in the metadata
            self.findings.add(error.message)

    def _check(self, stated: StatedImage) -> None:
        key = f"manifest-{stated.digest}"
        found = [one for one in self.records.records.values() if key in one.big_data]
        if not found:
            problem = f"the commit says that it is there, and no image has digest {stated.digest}"
            self.findings.add(problem, image=stated.reference)
        elif not any(stated.is_among(record.names) for record in found):
            problem = f"lacks the name {stated.name}, which the commit says that it has"
            self.findings.add(problem, image=label(found[0]))
