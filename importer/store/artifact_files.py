"""Write, read and compare the artifacts of stores, in a store's directory `artifacts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from layers.document import MAX_RECORDS_SIZE
from layers.entry import Owner, labelled_owner
from layers.frozen import frozen
from layers.storage.artifact import (
    ARTIFACTS,
    FILES,
    INDEX,
    LOCK,
    LOCK_TARGET,
    Artifact,
    blob_path,
    digest_of,
    index_of,
    merged_entries,
    parse_index,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.cache.layer import LayerCommit
    from importer.repo.tree import Tree
    from importer.repo.values import RepoDirectory, SystemDirectory
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.document import Document
    from layers.storage.artifact import ResolvedArtifact

_DIRECTORY = Owner(0o755, 0, 0)
_FILE = Owner(0o644, 0, 0)
_LINK = Owner(0o777, 0, 0)


@frozen
class ArtifactWriter:
    """Writes artifacts into a store's directory, within a transaction, with an SELinux label."""

    repo: Repo
    store: Tree
    label: str | None

    def add(
        self,
        present: RepoDirectory | None,
        artifacts: Sequence[ResolvedArtifact],
        blobs: Mapping[str, LayerCommit],
    ) -> None:
        """Add artifacts to those of the `present` store; `blobs` has their blobs' commits by id."""
        for artifact in artifacts:
            self._write(blob_path(artifact.digest), artifact.manifest.raw)
            for blob in artifact.layers:
                tree = blobs[blob.id].tree
                files = self.repo.directory(tree.contents, tree.meta)
                self._add(blob_path(blob.diff_id), files.leaves[blob.diff_id.hex.encode()])
        for path, content in FILES.items():
            self._write(path, content)
        before = artifact_entries(present) if present is not None else []
        entries = merged_entries(before, [artifact.entry for artifact in artifacts])
        self._write(INDEX, index_of(entries))
        link = self.repo.write_symlink(labelled_owner(_LINK, self.label), LOCK_TARGET)
        self._add(LOCK, link)

    def _write(self, path: str, content: bytes) -> None:
        self._add(path, self.repo.write_file(labelled_owner(_FILE, self.label), content))

    def _add(self, path: str, checksum: str) -> None:
        *directories, file = path.split("/")
        tree = self.store
        for name in directories:
            owner = labelled_owner(_DIRECTORY, self.label)
            tree = tree.enter(name) or tree.directory(name, owner)
        tree.file(file, checksum)


def artifact_entries(store: SystemDirectory) -> list[Document]:
    """Return the entries of a store's index of artifacts, none without an index."""
    return parse_index(store.read(INDEX, MAX_RECORDS_SIZE))


def stored_artifact(store: RepoDirectory, entry: Document) -> Artifact:
    """Return the artifact of an entry. Raise LayerError if its manifest is missing or malformed."""
    return Artifact.read(entry, store.read(blob_path(digest_of(entry))))


def blob_checksums(store: RepoDirectory) -> dict[str, str]:
    """Return the checksums of all blobs' objects by `ALGORITHM:HEX`, as their file names tell."""
    blobs = store.find(f"{ARTIFACTS}/blobs")
    return {
        f"{algorithm.decode(errors='replace')}:{name.decode(errors='replace')}": checksum
        for algorithm, directory in (blobs.directories.items() if blobs is not None else ())
        for name, checksum in directory.leaves.items()
    }


def keep_artifacts(repo: Repo, store: RepoDirectory, tree: Tree, kept: Sequence[Artifact]) -> None:
    """Remove all artifacts of `store` but the `kept` ones from `tree`, a copy of it."""
    if not kept:
        tree.remove(ARTIFACTS)
        return
    needed = {str(artifact.digest) for artifact in kept}
    needed |= {str(blob.digest) for artifact in kept for blob in artifact.blobs}
    for digest in blob_checksums(store).keys() - needed:
        algorithm, _, name = digest.partition(":")
        tree.below(f"{ARTIFACTS}/blobs/{algorithm}").remove(name)
    index = store.leaf(INDEX)
    assert index is not None  # noqa: S101 - it has entries
    written = repo.write_file(repo.file(index).owner, index_of(each.entry for each in kept))
    tree.below(ARTIFACTS).file(INDEX.rpartition("/")[2], written)


@frozen
class ArtifactChanges:
    """The artifacts that differ from store A to store B."""

    added: tuple[Artifact, ...]  # [Artifact]: a list of those that B alone has
    removed: tuple[Artifact, ...]  # [Artifact]: a list of those that A alone has
    # [Artifact]: a list of those that have another digest in B, as in B
    changed: tuple[Artifact, ...]
    unchanged: int  # number of artifacts that both have

    @classmethod
    def of(cls, old: StoreView | None, new: StoreView) -> Self:
        before = {artifact.label: artifact for artifact in (old.artifacts if old else ())}
        after = {artifact.label: artifact for artifact in new.artifacts}
        both = [(before[label], after[label]) for label in after if label in before]
        changed = [b for a, b in both if a.manifest.digest != b.manifest.digest]
        return cls(
            tuple(artifact for label, artifact in after.items() if label not in before),
            tuple(artifact for label, artifact in before.items() if label not in after),
            tuple(changed),
            len(both) - len(changed),
        )

    def by_sign(self) -> list[tuple[str, Artifact, str]]:
        """Return the sign of each artifact that differs, and what is new of it."""
        return [
            *(("+", artifact, "new artifact") for artifact in self.added),
            *(("~", artifact, "another artifact") for artifact in self.changed),
            *(("-", artifact, "") for artifact in self.removed),
        ]
