"""`image-store export` of an artifact: its manifest and blobs, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from importer.render.table import Block, Shown, Text
from importer.store.artifact_files import blob_checksums
from layers.chunks import verified
from layers.errors import LayerError
from layers.frozen import frozen
from layers.oci.reference import ImageName
from layers.words import size

if TYPE_CHECKING:
    from importer.imagestore.export import ExportPlace
    from importer.progress import Progress
    from importer.repo.writer import Repo
    from importer.store.reader import StoreView
    from layers.storage.artifact import StoredArtifact


@frozen
class ExportedArtifact(Shown):
    """The artifact and its place."""

    place: ExportPlace
    artifact: StoredArtifact

    def blocks(self) -> list[Block]:
        """Return the manifest's digest alone, as of an image."""
        return [Text(str(self.artifact.manifest.digest))]

    def document(self) -> dict[str, object]:
        return {
            "layout": self.place.directory,  # the directory
            "tag": self.place.tag,  # the tag in it; `null` for `dir:`
            **self.artifact.document(),  # StoredArtifact
        }


def export_artifact(
    repo: Repo, store: StoreView, artifact: StoredArtifact, to: ExportPlace, progress: Progress
) -> ExportedArtifact:
    """Write the artifact to its destination, which is made if there is none. Raise LayerError for a
    blob that the store lacks, or that has another digest."""
    if to.tag == "":
        tag = ImageName.parse(artifact.name).tag if artifact.name else ""
        to = replace(to, tag=tag or "latest")
    target, checksums = to.target(), blob_checksums(store.root)
    target.prepare()
    for blob in artifact.blobs:
        checksum = checksums.get(str(blob.digest))
        if checksum is None:
            raise LayerError("the blob is missing in the store", digest=str(blob.digest))
        if not target.has(blob.digest, blob.size):
            progress.message(f"exporting blob {blob.digest.hex[:12]}, {size(blob.size)}")
            target.write(blob.digest, verified(repo.content(checksum), blob.digest, blob.size))
    target.finish(artifact.manifest.raw, artifact.manifest.digest)
    return ExportedArtifact(to, artifact)
