"""`image-store verify`: check every record against every other, and against the objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.cache.branches import cut_branch, layer_branch, record_branch
from importer.cache.layer import find_layer, record_name
from importer.errors import ImporterError
from importer.render.table import size
from importer.repo.commit_keys import DIFF_ID
from importer.repo.labels import label_of
from importer.verify.expected import expected_record
from importer.verify.files import FileCheck
from importer.verify.findings import Findings
from importer.verify.forms import check_forms
from importer.verify.layer import LayerCheck
from importer.verify.names import NameCheck
from importer.verify.owners import OwnerCheck
from importer.verify.records import RecordCheck
from importer.verify.result import Verification, Verified
from importer.workers.tasks import Tasks, processes
from layers.errors import LayerError
from layers.storage.layer_record import chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from importer.verify.layer import LayerResult
    from layers.storage.layer_record import LayerRecord


@dataclass(frozen=True, slots=True)
class _VerifyPlan:
    """A store whose records are checked, and the checks of its layers that are still to do, in the
    order of its records."""

    records: RecordCheck
    result: Verified
    checks: list[tuple[LayerRecord, LayerCheck]]


class Verifier:
    """Verifies stores: first the records of all, then their layers, in worker processes.

    A layer that several stores have upon the same layers is verified once.
    """

    def __init__(self, repo: Repo, progress: Progress) -> None:
        self._repo = repo
        self._progress = progress
        self._told: set[LayerCheck] = set()

    def verify(self, stores: Iterable[StoreView], jobs: int) -> Iterator[Verified]:
        """Verify the stores in `jobs` processes. Yield the results in the order of `stores`."""
        plans = [self._plan(store) for store in stores]
        checks = dict.fromkeys(check for plan in plans for check in _largest_first(plan))
        count = processes(jobs, (check.size for check in checks))
        with Tasks(count, LayerCheck.__module__) as tasks:
            results = {check: tasks.begin(check) for check in checks}
            for plan in plans:
                for record, check in plan.checks:
                    self._layer(plan, record, check, results)
                plan.result.findings = sorted(plan.records.findings.named(plan.records.images))
                yield plan.result

    def _plan(self, store: StoreView) -> _VerifyPlan:
        """Check everything of a store except its layers."""
        findings = Findings()
        records = RecordCheck(store, findings)
        records.run()
        NameCheck(store, records, findings).run()
        check_forms(store, records, findings)
        unverified = frozenset(i for i in records.layers if self._is_unverified(records, i))
        owners = OwnerCheck.of(self._repo, store, findings)
        FileCheck(self._repo, store, records, findings, unverified, owners).run()
        result = Verified(store.branch, len(records.records), len(records.layers))
        result.unverified.extend(sorted(unverified))
        return _VerifyPlan(records, result, list(self._checks(store, records)))

    def _is_unverified(self, records: RecordCheck, layer_id: str) -> bool:
        """Return whether the layer came from a store without a tar-split file for it.

        Such a layer has its standard id.
        """
        if records.standard_ids.get(layer_id) != layer_id:
            return False
        found = find_layer(self._repo, layer_id)
        return found is not None and not found.verified

    def _checks(
        self, store: StoreView, records: RecordCheck
    ) -> Iterator[tuple[LayerRecord, LayerCheck]]:
        findings = records.findings
        used = {layer.id for image in records.images for layer in image.layers}
        for layer_id, record in records.layers.items():
            if records.all_images and layer_id not in used:
                findings.add("no image has it", layer=layer_id)
            try:
                below = chain(records.layers, record.parent)
                check = LayerCheck.of(self._repo, store, record, below, records)
            except (LayerError, ImporterError) as error:
                findings.add(error.message, layer=layer_id)
                continue
            if check is not None:  # else FileCheck has said what is missing
                yield record, check

    def _layer(
        self,
        plan: _VerifyPlan,
        record: LayerRecord,
        check: LayerCheck,
        results: Mapping[LayerCheck, Future[LayerResult]],
    ) -> None:
        findings, records = plan.records.findings, plan.records
        if check not in self._told:
            self._progress.message(f"verifying layer {record.id[:12]}, {size(record.diff_size)}")
            self._told.add(check)
        try:
            found = results[check].result()
            for path, problem in found.problems:
                findings.add(problem, layer=record.id, path=path)
            plan.result.size += found.size
            if (known := records.standard_ids.get(record.id)) is not None:
                self._branches(record, check, known, findings)
            if found.ids is not None:
                blobs = records.blobs(record.id)
                expected = expected_record(record, blobs, found.size, found.ids)
                records.check_layer_fields(record.id, expected)
        except ImporterError as error:  # an object that is damaged, or gone
            findings.add(error.message, layer=record.id)

    def _branches(
        self, record: LayerRecord, check: LayerCheck, standard_id: str, findings: Findings
    ) -> None:
        """Compare a layer with its branches, if there are any: the next import grafts these.

        A store with SELinux labels is made of other objects than the branches.
        """
        layer_id, branch, own = record.id, layer_branch(standard_id), check.trees[0]
        if label_of(self._repo.dirmeta(own.meta)):
            return
        head = self._repo.resolve(branch)
        if head is not None:
            commit = self._repo.commit(head)
            contents = commit.contents if check.holds_lower else own.contents
            facts = (commit.metadata.get(DIFF_ID), commit.contents)
            if facts != (str(record.diff_id), contents):
                findings.add(f"branch {branch} has another tree", layer=layer_id)
        branch = cut_branch(layer_id)
        head = self._repo.resolve(branch)
        if head is not None:
            tree = self._repo.root(self._repo.commit(head)).directories.get(b"diff")
            if tree is None or tree.contents != own.contents:
                findings.add(f"branch {branch} has another tree", layer=layer_id)
        branch = record_branch(standard_id)
        head = self._repo.resolve(branch)
        if head is not None:
            files = self._repo.root(self._repo.commit(head)).leaves
            if files.get(record_name(standard_id).encode()) != check.split:
                findings.add(f"branch {branch} has another tar-split file", layer=layer_id)


def verify(repo: Repo, stores: Iterable[StoreView], progress: Progress, jobs: int) -> Verification:
    """Verify all stores, with `jobs` processes at most."""
    return Verification(list(Verifier(repo, progress).verify(stores, jobs)))


def _largest_first(plan: _VerifyPlan) -> Sequence[LayerCheck]:
    """Return the checks, largest first, so that no process ends long after the others."""
    return sorted((check for _, check in plan.checks), key=lambda check: -check.size)
