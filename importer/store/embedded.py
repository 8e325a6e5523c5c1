"""Find the commit whose store a container image holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.document import mapping, parse_document, string
from layers.oci.derive import STORE_COMMIT

if TYPE_CHECKING:
    from importer.repo.values import Commit
    from importer.repo.writer import Repo
    from layers.storage.image import Image


def embedded_commit(repo: Repo, image: Image) -> Commit | None:
    """Return the commit whose store was embedded, or None if the repo has not the whole of it."""
    document = parse_document(image.manifest.raw, "the manifest")
    annotations = mapping(document, "annotations", "the manifest", {})
    checksum = string(annotations, STORE_COMMIT, "the manifest's annotations", "")
    if not checksum or not repo.exists("commit", checksum):
        return None
    commit = repo.commit(checksum)
    return None if commit.partial else commit
