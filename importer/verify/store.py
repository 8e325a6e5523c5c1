"""`image-store verify`: check every record against every other, and against the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.branches import cut_branch, layer_branch, record_branch
from importer.cache.layer import find_layer, record_name
from importer.repo.commit_keys import DIFF_ID
from importer.verify.artifacts import ArtifactCheck
from importer.verify.documents import check_forms, check_names
from importer.verify.files import FileCheck, OwnerCheck
from importer.verify.findings import Finding, Findings, Verification, Verified
from importer.verify.layer import LayerCheck
from importer.verify.records import RecordCheck
from importer.workers.tasks import Tasks, processes
from layers.entry import label_of
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.media_type import layer_compression
from layers.storage.artifact import blob_path
from layers.storage.layer_record import StoredLayer, chain
from layers.words import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.find import Stores
    from importer.store.reader import StoreView
    from importer.verify.artifacts import BlobCheck
    from importer.verify.layer import LayerResult
    from layers.document import Document
    from layers.oci.manifest import Descriptor
    from layers.storage.layer_record import LayerRecord


@frozen
class _VerifyPlan:
    """A store whose records are checked, and the checks to do of its layers, in the order of its
    records, and of its artifacts' blobs, by artifact."""

    records: RecordCheck
    result: Verified
    checks: list[tuple[LayerRecord, LayerCheck]]
    blobs: dict[BlobCheck, str]


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
        # A store's largest first, so that no process ends long after the others.
        ordered = (sorted(plan.checks, key=lambda pair: -pair[1].size) for plan in plans)
        checks = dict.fromkeys(check for pairs in ordered for _, check in pairs)
        blobs = dict.fromkeys(blob for plan in plans for blob in plan.blobs)
        count = processes(jobs, [check.size for check in checks] + [blob.size for blob in blobs])
        with Tasks(count, LayerCheck.__module__) as tasks:
            results = {check: tasks.begin(check) for check in checks}
            read = {blob: tasks.begin(blob) for blob in blobs}
            for plan in plans:
                for record, check in plan.checks:
                    self._layer(plan, record, check, results)
                for blob, artifact in plan.blobs.items():
                    _blob(plan, artifact, blob, read[blob])
                plan.result.findings = sorted(plan.records.findings.named(plan.records.images))
                yield plan.result

    def _plan(self, store: StoreView) -> _VerifyPlan:
        """Check everything of a store except its layers, up to a directory that cannot be read."""
        plan = _VerifyPlan(RecordCheck(store, Findings()), Verified(store.branch), [], {})
        with plan.records.findings.faults():
            self._check(store, plan)
        return plan

    def _check(self, store: StoreView, plan: _VerifyPlan) -> None:
        records, result = plan.records, plan.result
        records.run()
        result.images, result.layers = len(records.records), len(records.layers)
        check_names(records)
        check_forms(records)
        unverified = frozenset(i for i in records.layers if self._is_unverified(records, i))
        result.unverified_layers.extend(sorted(unverified))
        owners = OwnerCheck.of(self._repo, store, records.findings)
        FileCheck(self._repo, records, unverified, owners).run()
        artifacts = ArtifactCheck(self._repo, store.root, records.findings, owners)
        found = artifacts.run()
        result.artifacts = len(found)
        plan.blobs.update(artifacts.blobs(found))
        plan.checks.extend(self._checks(records))

    def _is_unverified(self, records: RecordCheck, layer_id: str) -> bool:
        """Return whether the layer came from a store without a tar-split file for it.

        Such a layer has its standard id.
        """
        if records.standard_ids.get(layer_id) != layer_id:
            return False
        layer = find_layer(self._repo, layer_id)
        return layer is not None and not layer.verified

    def _checks(self, records: RecordCheck) -> Iterator[tuple[LayerRecord, LayerCheck]]:
        findings = records.findings
        used = {layer.id for image in records.images for layer in image.layers}
        for layer_id, record in records.layers.items():
            if records.all_images and layer_id not in used:
                findings.add("no image has it", layer=layer_id)
            with findings.faults(layer=layer_id):
                below = chain(records.layers, record.parent)
                check = LayerCheck.of(self._repo, record, below, records)
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
        with findings.faults(layer=record.id):  # of an object that is damaged, or gone
            result = results[check].result()
            for path, problem in result.problems:
                findings.add(problem, layer=record.id, path=path)
            plan.result.tar_size += result.size
            if record.id in records.standard_ids:
                self._branches(records, record, check)
            if result.ids is not None:
                blobs = records.blobs(record.id)
                expected = expected_record(record, blobs, result.size, result.ids)
                records.check_fields(record.document, expected, layer=record.id)

    def _branches(self, records: RecordCheck, record: LayerRecord, check: LayerCheck) -> None:
        """Compare a layer with its branches, if there are any: the next import grafts these.

        A store with SELinux labels is made of other objects than the branches.
        """
        own, standard_id = check.trees[0], records.standard_ids[record.id]
        if label_of(self._repo.dirmeta(own.meta)):
            return

        def differs(branch: str, part: str) -> None:
            records.findings.add(f"branch {branch} has another {part}", layer=record.id)

        if (commit := self._repo.find_head(branch := layer_branch(standard_id))) is not None:
            contents = commit.contents if check.holds_lower else own.contents
            facts = (commit.metadata.get(DIFF_ID), commit.contents)
            if facts != (str(record.diff_id), contents):
                differs(branch, "tree")
        if (commit := self._repo.find_head(branch := cut_branch(record.id))) is not None:
            tree = self._repo.root(commit).directories.get(b"diff")
            if tree is None or tree.contents != own.contents:
                differs(branch, "tree")
        if (commit := self._repo.find_head(branch := record_branch(standard_id))) is not None:
            files = self._repo.root(commit).leaves
            if files.get(record_name(standard_id).encode()) != check.split:
                differs(branch, "tar-split file")


def _blob(plan: _VerifyPlan, artifact: str, check: BlobCheck, result: Future[None]) -> None:
    with plan.records.findings.faults(image=artifact, path=blob_path(check.digest)):
        result.result()
        plan.result.tar_size += check.size


def verify(repo: Repo, stores: Stores, progress: Progress, jobs: int) -> Verification:
    """Verify all stores, with `jobs` processes at most. A store that cannot be opened is at
    fault."""
    closed = [
        Verified(skipped.branch, findings=[Finding((), "", "", skipped.reason)])
        for skipped in stores.skipped
        if skipped.broken
    ]
    return Verification([*Verifier(repo, progress).verify(stores.found, jobs), *closed])


def expected_record(
    record: LayerRecord,
    blobs: list[Descriptor],
    tar_size: int,
    ids: tuple[tuple[int, ...], tuple[int, ...]],
) -> Document:
    """Return the record that a layer must have.

    If manifests name several blobs for the layer, the record may name any of these: an import takes
    the one with the smallest digest, but a merged store keeps the one that it has. If no manifest
    names a blob for the layer, the record's own fields about the blob are the expected ones.
    """
    named = [blob for blob in blobs if blob.digest == record.blob_digest]
    blob = min(named or blobs, key=lambda blob: blob.digest, default=None)
    try:
        compression = layer_compression(blob.media_type) if blob else record.compression
    except LayerError:
        compression = record.compression
    return StoredLayer(
        record.id,
        (record.parent,) if record.parent else (),
        record.diff_id,
        tar_size,
        blob.digest if blob else record.blob_digest,
        blob.size if blob else record.blob_size,
        compression,
        *ids,
    ).record()
