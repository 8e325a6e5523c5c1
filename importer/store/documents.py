"""Find manifests and configs in the repo's stores, so that they are not fetched again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.storage.image_record import big_data_file

if TYPE_CHECKING:
    from importer.repo.values import RepoDirectory
    from layers.digest import Digest
    from layers.oci.reference import Reference


class StoredDocuments:
    """Finds documents in stores' image records, and manifests of their artifacts."""

    def __init__(self) -> None:
        self._images: list[RepoDirectory] = []
        self._blobs: list[RepoDirectory] = []

    def add(self, root: RepoDirectory, prefix: str) -> None:
        """Search the store at the absolute path `prefix` below `root` too, if there is one."""
        images = root.find(f"{prefix.strip('/')}/overlay-images")
        if images is not None:
            self._images.extend(images.directories.values())
        blobs = root.find(f"{prefix.strip('/')}/artifacts/blobs")
        if blobs is not None:
            self._blobs.append(blobs)

    def find(self, digest: Digest) -> bytes | None:
        """Return the document of this digest, or None. Raise LayerError if it is damaged."""
        for key in (f"manifest-{digest}", str(digest)):
            for image in self._images:
                data = image.read(big_data_file(key))
                if data is not None:
                    return digest.check(data, "the record in the store")
        for blobs in self._blobs:
            directory = blobs.directories.get(digest.algorithm.encode())
            data = directory.read(digest.hex) if directory is not None else None
            if data is not None:
                return digest.check(data, "the artifact's manifest in the store")
        return None

    def lack(self, reference: Reference) -> bool:
        """Return whether a reference by digest is of a manifest that no store has."""
        digest = reference.name.digest if reference.name else None
        if digest is None:
            return False
        name = big_data_file(f"manifest-{digest}").encode()
        return not any(name in image.leaves for image in self._images)
