"""`image-store verify`: check every record against every other, and against the objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from importer.cache.branches import layer_branch, record_branch
from importer.cache.layer import find_layer, record_name
from importer.errors import ImporterError
from importer.render.table import Block, Text, several, size
from importer.repo.commit_keys import DIFF_ID
from importer.verify.files import FileCheck
from importer.verify.findings import Finding, Findings
from importer.verify.layer import LayerResult, StoredTrees, check_layer
from importer.verify.names import NameCheck
from importer.verify.owners import OwnerCheck
from importer.verify.rebuilt_tar import label_of
from importer.verify.records import RecordCheck
from layers.errors import LayerError
from layers.oci.media_type import layer_compression
from layers.storage.layer_record import chain
from layers.storage.records import StoredLayer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.document import Document
    from layers.oci.manifest import Descriptor
    from layers.storage.layer_record import LayerRecord


@dataclass(slots=True)
class Verified:
    """The result for one branch.

    `size` is the bytes of the tars that were rebuilt. `unverified` are layers that nothing can
    verify, since their tars are unknown.
    """

    branch: str
    images: int = 0
    layers: int = 0
    size: int = 0
    unverified: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def verdict(self) -> Text:
        """Return the line of the branch: what was checked, and whether it is sound."""
        faults = several(len(self.findings), "fault") if self.findings else "ok"
        counts = f"{several(self.images, 'image')}, {several(self.layers, 'layer')}"
        return Text(
            f"{self.branch}: {counts}, {size(self.size)} of tars made again: {faults}",
            "red" if self.findings else "green",
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """The results of all branches. The status is 1 if anything is wrong."""

    branches: list[Verified]

    @property
    def status(self) -> int:
        """1 if anything is wrong, else 0."""
        return 1 if any(branch.findings for branch in self.branches) else 0

    def blocks(self) -> list[Block]:
        """Return a line for each finding, and a line for each branch."""
        blocks: list[Block] = []
        for branch in self.branches:
            blocks += [Text(f"{branch.branch}: {one}", "red") for one in branch.findings]
            blocks += [
                Text(f"{branch.branch}: layer {one[:12]}: nothing says what its tar was", "yellow")
                for one in branch.unverified
            ]
            blocks.append(branch.verdict())
        return blocks or [Text("no stores")]

    def document(self) -> dict[str, Any]:
        """Return the JSON document: `ok`, and the findings of each branch."""
        return {
            "ok": self.status == 0,
            "branches": [self._branch(branch) for branch in self.branches],
        }

    def _branch(self, verified: Verified) -> dict[str, Any]:
        return {
            "branch": verified.branch,
            "images": verified.images,
            "layers": verified.layers,
            "tar_size": verified.size,
            "unverified_layers": verified.unverified,
            "findings": [
                {"images": list(f.images), "layer": f.layer, "path": f.path, "problem": f.problem}
                for f in verified.findings
            ],
        }


class Verifier:
    """Verifies stores. A layer that several stores have upon the same layers is verified once."""

    def __init__(self, repo: Repo, progress: Progress) -> None:
        self._repo = repo
        self._progress = progress
        self._known: dict[StoredTrees, LayerResult] = {}

    def verify(self, store: StoreView) -> Verified:
        """Verify one store."""
        findings = Findings()
        records = RecordCheck(store, findings)
        records.run()
        NameCheck(store, records, findings).run()
        unverified = frozenset(i for i in records.layers if self._is_unverified(records, i))
        owners = OwnerCheck.of(self._repo, store, findings)
        FileCheck(self._repo, store, records, findings, unverified, owners).run()
        result = Verified(store.branch, len(records.records), len(records.layers))
        self._layers(store, records, result)
        result.unverified.extend(sorted(unverified))
        result.findings = sorted(findings.named(records.images))
        return result

    def _is_unverified(self, records: RecordCheck, layer_id: str) -> bool:
        """Return whether the layer came from a store without a tar-split file for it.

        Such a layer has its standard id.
        """
        if records.standard_ids.get(layer_id) != layer_id:
            return False
        found = find_layer(self._repo, layer_id)
        return found is not None and not found.verified

    def _layers(self, store: StoreView, records: RecordCheck, result: Verified) -> None:
        findings = records.findings
        used = {layer.id for image in records.images for layer in image.layers}
        for layer_id, record in records.layers.items():
            if records.all_images and layer_id not in used:
                findings.add("no image has it", layer=layer_id)
            try:
                below = chain(records.layers, record.parent)
            except LayerError as error:
                findings.add(error.message, layer=layer_id)
                continue
            trees = StoredTrees.find(store, record, below)
            if trees is None:
                continue  # FileCheck has said what is missing
            try:
                self._layer(trees, records, result)
            except ImporterError as error:  # an object that is damaged, or gone
                findings.add(error.message, layer=layer_id)

    def _layer(self, trees: StoredTrees, records: RecordCheck, result: Verified) -> None:
        record, findings = trees.record, records.findings
        if trees not in self._known:
            self._progress.message(f"verifying layer {record.id[:12]}, {size(record.diff_size)}")
            self._known[trees] = check_layer(self._repo, trees)
        found = self._known[trees]
        for path, problem in found.problems:
            findings.add(problem, layer=record.id, path=path)
        result.size += found.size
        if (known := records.standard_ids.get(record.id)) is not None:
            self._branches(trees, known, findings)
        if found.ids is not None:
            expected = expected_record(record, records.blobs(record.id), found.size, found.ids)
            records.check_layer_fields(record.id, expected)

    def _branches(self, trees: StoredTrees, standard_id: str, findings: Findings) -> None:
        """Compare a layer with its branches, if there are any: the next import grafts these.

        A store with SELinux labels is made of other objects than the branches.
        """
        layer_id, branch = trees.record.id, layer_branch(standard_id)
        if label_of(self._repo.dirmeta(trees.own.meta)):
            return
        head = self._repo.resolve(branch)
        if head is not None:
            commit = self._repo.commit(head)
            facts = (commit.metadata.get(DIFF_ID), commit.contents)
            if facts != (str(trees.record.diff_id), trees.own.contents):
                findings.add(f"branch {branch} has another tree", layer=layer_id)
        branch = record_branch(standard_id)
        head = self._repo.resolve(branch)
        if head is not None:
            files = self._repo.root(self._repo.commit(head)).leaves
            if files.get(record_name(standard_id).encode()) != trees.split:
                findings.add(f"branch {branch} has another tar-split file", layer=layer_id)


def expected_record(
    record: LayerRecord,
    blobs: list[Descriptor],
    tar_size: int,
    ids: tuple[tuple[int, ...], tuple[int, ...]],
) -> Document:
    """Return the record that a layer has to have.

    Of several blobs it may name any: an import takes the one with the smallest digest, but a
    merged store keeps what it has. If no manifest names the record's blob, the record's own fields
    stand.
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


def verify(repo: Repo, stores: Iterable[StoreView], progress: Progress) -> Verification:
    """Verify all stores."""
    verifier = Verifier(repo, progress)
    return Verification([verifier.verify(store) for store in stores])
