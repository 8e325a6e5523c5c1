"""Write an OCI image layout: image-spec image-layout.md."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from importer.errors import ImporterError
from importer.files.atomic import new_file
from importer.files.replacement import read_file
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE, array, mapping, parse_document
from layers.errors import LayerError
from layers.oci.media_type import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from layers.chunks import Chunks

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REF_NAME = "org.opencontainers.image.ref.name"


class Layout:
    """An OCI layout on disk. Files appear under their names when they are complete."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._blobs = directory / "blobs"

    def prepare(self) -> None:
        """Create the layout. Raise ImporterError if the directory holds something else."""
        marker = self._directory / "oci-layout"
        with _errors(self._directory):
            if self._directory.exists() and not marker.exists() and any(self._directory.iterdir()):
                raise ImporterError(
                    f"{self._directory} is not empty, and no OCI layout",
                    hint="name a new directory, or a layout to add the image to",
                )
            self._blobs.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                self._replace(marker, _json({"imageLayoutVersion": "1.0.0"}))

    def has(self, digest: Digest) -> bool:
        """Return whether the layout has this blob, and its content is the one of the digest."""
        hasher = digest.hasher()
        try:
            descriptor = os.open(self._path(digest), _READ)
        except OSError:
            return False
        try:
            if not S_ISREG(os.fstat(descriptor).st_mode):
                return False
            while piece := os.read(descriptor, 1 << 20):
                hasher.update(piece)
        finally:
            os.close(descriptor)
        return hasher.hexdigest() == digest.hex

    def write(self, digest: Digest, chunks: Chunks) -> None:
        """Write a blob. `chunks` must raise at their end if they do not have this digest."""
        path = self._path(digest)
        with _errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(path.parent) as new:
                new.file.writelines(chunks)
                os.fchmod(new.file.fileno(), 0o644)
                new.replace(path)

    def put(self, data: bytes) -> Digest:
        """Write a small blob, and return its digest."""
        digest = Digest.of(data)
        self.write(digest, (chunk for chunk in [data]))
        return digest

    def tag(self, name: str, manifest: dict[str, Any]) -> Digest:
        """Write a manifest under a tag, in place of any other there. Return its digest."""
        raw = _json(manifest)
        digest = self.put(raw)
        entry = _descriptor(OCI_MANIFEST, digest, len(raw)) | {"annotations": {_REF_NAME: name}}
        with _errors(self._directory):
            others = [one for one in self._listed() if _tag(one) != name]
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, entry]}
            self._replace(self._directory / "index.json", _json(index))
        return digest

    def _listed(self) -> list[dict[str, Any]]:
        index = self._directory / "index.json"
        if not index.exists():
            return []
        try:
            document = parse_document(read_file(index, MAX_DOCUMENT_SIZE), "it")
            found = array(document, "manifests", "it")
            for one in found:
                if not isinstance(one, dict):
                    raise LayerError("one of its manifests is no object")
                mapping(one, "annotations", "one of its manifests", {})
        except LayerError as error:
            raise ImporterError(f"{index} is not an index of images: {error}") from None
        return found

    def _path(self, digest: Digest) -> Path:
        return self._blobs / digest.algorithm / digest.hex

    def _replace(self, path: Path, data: bytes) -> None:
        with new_file(path.parent) as new:
            new.file.write(data)
            os.fchmod(new.file.fileno(), 0o644)
            new.replace(path)


def manifest(
    config_type: str, config: bytes, layers: Iterable[tuple[str, Digest, int]]
) -> dict[str, Any]:
    """Return an image manifest, image-spec manifest.md.

    `layers` has the media type, digest and size in bytes of each blob, base first.
    """
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor(config_type, Digest.of(config), len(config)),
        "layers": [_descriptor(*layer) for layer in layers],
    }


def _descriptor(media_type: str, digest: Digest, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": size}


def _tag(entry: dict[str, Any]) -> str | None:
    return (entry.get("annotations") or {}).get(_REF_NAME)


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn an OSError into an ImporterError that names the path."""
    try:
        yield
    except OSError as error:
        raise ImporterError(f"writing {path}: {error.strerror}") from error
