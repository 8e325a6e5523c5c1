"""Check a store's artifacts: the index, the manifests, the blobs and the files beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from importer.repo.writer import Repo
from importer.store.artifact_files import artifact_entries, blob_checksums, stored_artifact
from layers.chunks import drain, verified
from layers.frozen import frozen
from layers.oci.readable import check_manifest
from layers.path import joined
from layers.storage.artifact import ARTIFACTS, FILES, INDEX, LOCK, LOCK_TARGET, name_of
from layers.tree.lower import each_directory

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory
    from importer.verify.files import OwnerCheck
    from importer.verify.findings import Findings
    from layers.digest import Digest
    from layers.document import Document
    from layers.storage.artifact import Artifact


@frozen
class BlobCheck:
    """A `Task`: read a blob."""

    repo: Path
    checksum: str
    digest: Digest
    size: int

    def run(self) -> None:
        """See `Task`."""
        drain(verified(Repo.open(self.repo).content(self.checksum), self.digest, self.size))


@frozen
class ArtifactCheck:
    """Checks the artifacts of a store, and finds their blobs to read."""

    repo: Repo
    store: RepoDirectory
    findings: Findings
    owners: OwnerCheck

    def run(self) -> list[Artifact]:
        """Check everything but the blobs' contents. Return the artifacts that can be read."""
        directory = self.store.find(ARTIFACTS)
        if directory is None:
            return []
        entries: list[Document] | None = None
        with self.findings.faults(path=INDEX):
            entries = artifact_entries(self.store)
        if entries is None:
            return []
        artifacts: list[Artifact] = []
        for entry in entries:
            with self.findings.faults(image=name_of(entry)):
                artifact = stored_artifact(self.store, entry)
                check_manifest(artifact.manifest, artifact=True)
                artifacts.append(artifact)
        self._check_names(artifacts)
        self._check_blobs(artifacts, complete=len(artifacts) == len(entries))
        self._check_files()
        self._check_owners(directory)
        return artifacts

    def _check_names(self, artifacts: list[Artifact]) -> None:
        names = [name for artifact in artifacts for name in artifact.names]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.findings.add("several artifacts have the name", image=name)

    def _check_blobs(self, artifacts: list[Artifact], *, complete: bool) -> None:
        """Report missing blobs; if all artifacts can be read, also blobs of none."""
        present = blob_checksums(self.store)
        needed = {str(artifact.manifest.digest): artifact.label for artifact in artifacts}
        needed |= {str(blob.digest): each.label for each in artifacts for blob in each.blobs}
        for digest in sorted(needed.keys() - present.keys()):
            self.findings.add(f"its blob {digest} is missing", image=needed[digest])
        for digest in sorted(present.keys() - needed.keys() if complete else ()):
            path = f"{ARTIFACTS}/blobs/{digest.replace(':', '/')}"
            self.findings.add("belongs to no artifact", path=path)

    def _check_files(self) -> None:
        """Check the files that each layout of ours has. podman and CRI-O cannot open a lock that is
        a file in a read-only directory."""
        for path, content in FILES.items():
            if self.store.read(path) != content:
                self.findings.add("is missing, or another file", path=path)
        lock = self.store.leaf(LOCK)
        if lock is None or self.repo.file(lock).target is None:
            self.findings.add(f"is no symlink, as to {LOCK_TARGET}", path=LOCK)

    def _check_owners(self, directory: RepoDirectory) -> None:
        for below, place in each_directory(directory, (ARTIFACTS.encode(),)):
            path = joined(below).decode()
            self.owners.directory(path, place)
            for name in place.leaves:
                self.owners.file(path, place, name.decode())

    def blobs(self, artifacts: list[Artifact]) -> dict[BlobCheck, str]:
        """Return the blobs to read, each with an artifact that has it."""
        present = blob_checksums(self.store)
        return {
            BlobCheck(self.repo.path, present[str(blob.digest)], blob.digest, blob.size): each.label
            for each in artifacts
            for blob in each.blobs
            if str(blob.digest) in present
        }
