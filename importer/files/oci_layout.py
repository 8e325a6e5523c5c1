"""Write an OCI image layout: image-spec image-layout.md."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from importer.errors import ImporterError, layer_faults, os_faults
from importer.files.atomic import has_content, is_fresh, new_blob, replace_file
from importer.files.presence import is_present
from importer.files.replacement import open_regular, read_file
from importer.files.scratch import OPEN_DIRECTORY
from importer.files.sync import make_directory
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE, array, compact_json, mapping, parse_document
from layers.errors import LayerError
from layers.oci.manifest import Descriptor
from layers.oci.media_type import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from layers.chunks import Chunks, OpenChunks

_PIECE = 1 << 20
_REF_NAME = "org.opencontainers.image.ref.name"
# containerd 1.7 names an image by this one (core/images/archive/importer.go, 2.x; images/archive).
_FULL_NAME = "io.containerd.image.name"


class Layout:
    """An OCI layout on disk, and one tag in it. Files have their names once they are complete."""

    manifest_types = (OCI_MANIFEST,)

    def __init__(self, directory: Path, tag: str) -> None:
        self._directory = directory
        self._blobs = directory / "blobs"
        self._tag = tag

    def prepare(self) -> None:
        """Create the layout. Raise ImporterError if the directory holds something else."""
        marker = self._directory / "oci-layout"
        with os_faults(f"writing {self._directory}"):
            make_directory(self._directory)
            if not is_present(marker) and not is_fresh(self._directory):
                raise ImporterError(
                    f"{self._directory} is not empty, and no OCI layout",
                    hint="name a new directory, or a layout to add the image to",
                )
            if not is_present(marker):
                replace_file(marker, iter([compact_json({"imageLayoutVersion": "1.0.0"})]))

    def is_in(self, directory: Path) -> bool:
        return self._directory.resolve().is_relative_to(directory.resolve())

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether the layout has this blob of `size` bytes, with the content of the
        digest."""
        return has_content(self._path(digest), digest, size)

    def write(self, digest: Digest, chunks: Chunks) -> None:
        """Write a blob. `chunks` must raise at their end if they do not have this digest."""
        with (
            os_faults(f"writing {self._path(digest)}"),
            self._opened(digest.algorithm) as directory,
        ):
            replace_file(directory / digest.hex, chunks)

    def read(self, digest: Digest) -> OpenChunks:
        """Yield a blob's bytes. Raise ImporterError if it cannot be read."""
        path = self._path(digest)
        with os_faults(f"reading {path}"), open_regular(path) as file:
            while piece := file.read(_PIECE):
                yield piece

    def add(self, chunks: Chunks) -> tuple[Digest, int]:
        """Write a blob whose digest is not known yet. Return its sha256 digest and its size."""
        with self._opened("sha256") as directory:
            return new_blob(directory, chunks)

    @contextmanager
    def _opened(self, algorithm: str) -> Iterator[Path]:
        """Yield the directory of an algorithm's blobs, by its descriptor. Make an absent one.

        Raise ImporterError for a symlink in place of a directory: it would lead out of the layout.
        """
        with os_faults(f"writing {self._blobs / algorithm}"), ExitStack() as opened:
            at = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, at)
            for name in (self._blobs.name, algorithm):
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=at)
                    os.fsync(at)
                at = os.open(name, OPEN_DIRECTORY, dir_fd=at)
                opened.callback(os.close, at)
            yield Path(f"/proc/self/fd/{at}")

    def written_elsewhere(self, _digest: Digest) -> None:
        """Do nothing: a layout keeps the blobs that another process wrote."""

    def write_signatures(self, _signatures: Sequence[bytes]) -> int:
        """Return 0: a layout has no place for signatures, in skopeo's eyes either."""
        return 0

    def finish(self, raw: bytes, digest: Digest) -> None:
        """Write an OCI manifest under the tag, in place of any other there."""
        self.write(digest, iter([raw]))
        self._list([_entry(raw, digest, {_REF_NAME: self._tag})])

    def finish_all(self, manifests: Iterable[tuple[bytes, Digest, Sequence[str]]]) -> None:
        """Write OCI manifests under full names, of which each may have several, or none."""
        entries: list[dict[str, Any]] = []
        for raw, digest, names in manifests:
            self.write(digest, iter([raw]))
            named = [{_REF_NAME: name, _FULL_NAME: name} for name in names]
            entries += [_entry(raw, digest, annotations) for annotations in named or [{}]]
        self._list(entries)

    def _list(self, entries: Sequence[dict[str, Any]]) -> None:
        """List the manifests in the index, in place of others of the same names."""
        taken = {_tag_of(entry) for entry in entries} - {None}
        with os_faults(f"writing {self._directory}"):
            others = [
                other
                for other in self._listed()
                if _tag_of(other) not in taken and other not in entries
            ]
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, *entries]}
            replace_file(self._directory / "index.json", iter([compact_json(index)]))

    def tagged(self) -> Digest | None:
        """Return the digest of the manifest that has the tag, None if there is none."""
        tagged = [entry for entry in self._listed() if _tag_of(entry) == self._tag]
        return Digest.parse(tagged[0].get("digest")) if tagged else None

    def _listed(self) -> list[dict[str, Any]]:
        index = self._directory / "index.json"
        if not is_present(index):
            return []
        with layer_faults(f"{index} is not an index of images", ""):
            document = parse_document(read_file(index, MAX_DOCUMENT_SIZE), "it")
            entries = array(document, "manifests", "it")
            for entry in entries:
                if not isinstance(entry, dict):
                    raise LayerError("one of its manifests is no object")
                mapping(entry, "annotations", "one of its manifests", {})
        return entries

    def _path(self, digest: Digest) -> Path:
        return self._blobs / digest.algorithm / digest.hex


def manifest(
    config_type: str,
    config: bytes,
    layers: Iterable[tuple[str, Digest, int]],
    annotations: dict[str, Any] | None = None,
) -> bytes:
    """Return an image manifest, image-spec manifest.md.

    `layers` has the media type, digest and size in bytes of each blob, base first.
    """
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor(config_type, Digest.of(config), len(config)).document,
        "layers": [Descriptor(*layer).document for layer in layers],
    }
    return compact_json(document | ({"annotations": annotations} if annotations else {}))


def _entry(raw: bytes, digest: Digest, annotations: dict[str, str]) -> dict[str, Any]:
    entry = Descriptor(OCI_MANIFEST, digest, len(raw)).document
    return entry | ({"annotations": annotations} if annotations else {})


def _tag_of(entry: dict[str, Any]) -> str | None:
    return (entry.get("annotations") or {}).get(_REF_NAME)
