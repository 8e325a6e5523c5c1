"""An OCI artifact, such as a model or a chart, and its entry in the index of a store.

podman and CRI-O keep artifacts in an OCI layout. The index gives each artifact's full name,
REPOSITORY:TAG or REPOSITORY@DIGEST, as `org.opencontainers.image.ref.name`. One entry that they
cannot read makes all artifacts of the store unreadable. Source: container-libs of April 2026,
common/pkg/libartifact/store.go; podman 5.4, pkg/libartifact/store, has the same layout.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from layers.digest import Digest
from layers.document import (
    MAX_RECORDS_SIZE,
    array,
    compact_json,
    mapping,
    parse_document,
    string,
)
from layers.errors import LayerError, within
from layers.frozen import frozen
from layers.moment import parse_time
from layers.oci.manifest import Descriptor, parse_artifact
from layers.oci.media_type import OCI_INDEX
from layers.oci.readable import check_manifest
from layers.storage.image import ImageLayer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from layers.document import Document
    from layers.oci.manifest import Manifest
    from layers.oci.reference import ImageName, Reference

# The directory of the layout in a store, its index, and the file that locks it.
ARTIFACTS = "artifacts"
INDEX = f"{ARTIFACTS}/index.json"
LOCK = f"{ARTIFACTS}/index.lock"
# podman and CRI-O open the lock for writing, even to list artifacts; a store in /usr is read-only.
LOCK_TARGET = "/run/import-image-artifacts.lock"
# Files that any OCI layout has.
FILES = {f"{ARTIFACTS}/oci-layout": compact_json({"imageLayoutVersion": "1.0.0"})}

_NAME = "org.opencontainers.image.ref.name"
_CREATED = "org.opencontainers.image.created"
# Names that the OCI transport takes (container-libs, image/oci/internal/oci_util.go).
_WORD = "[A-Za-z0-9]+"
_PART = f"{_WORD}(?:(?:[-._:@+]|--){_WORD})*"
_NAMES = re.compile(f"{_PART}(?:/{_PART})*")


@frozen
class Artifact:
    """A resolved artifact. skopeo finds the blobs in `source`. `name` overrides the reference's
    name."""

    reference: Reference
    source: str
    manifest: Manifest
    name: ImageName | None = None

    def __post_init__(self) -> None:
        """Raise LayerError for an artifact that podman could not read back."""
        check_manifest(self.manifest, artifact=True)
        if not self.names:
            raise LayerError(
                "the artifact has no name",
                hint="write NAME=REF, with a name such as localhost/model:1",
            )
        if not _NAMES.fullmatch(self.names[0]):
            raise LayerError(
                f"no name for an artifact in an OCI layout: {self.names[0]}",
                hint="write NAME=REF, with a name that has no run of '_', '.' or '-'",
            )

    @property
    def digest(self) -> Digest:
        """Return the manifest's digest."""
        return self.manifest.digest

    @property
    def id(self) -> str:
        """Return the hex digits of the manifest's digest, by which podman finds the artifact."""
        return self.digest.hex

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name in the store. With a tag it has no digest: podman refuses both together,
        and finds a repository's artifact by its digest under any tag."""
        name = self.name or self.reference.name
        if name is None:
            return ()
        return (f"{name.repository}:{name.tag}" if name.tag else str(name),)

    @property
    def kind(self) -> str:
        return artifact_kind(self.manifest)

    @property
    def created(self) -> str:
        return artifact_created(self.manifest)

    @property
    def created_seconds(self) -> int:
        return artifact_seconds(self.manifest)

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """Return the blobs, each once: the config, and the artifact's files."""
        return tuple(map(ImageLayer.of_file, artifact_blobs(self.manifest)))

    @property
    def entry(self) -> Document:
        """Return the artifact's entry in the index."""
        manifest = Descriptor(self.manifest.media_type, self.digest, len(self.manifest.raw))
        return manifest.document | {"annotations": {_NAME: self.names[0]}}


def artifact_blobs(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Return an artifact's config and files, each digest once."""
    blobs = {blob.digest: blob for blob in (manifest.config, *manifest.layers)}
    return tuple(blobs.values())


def artifact_kind(manifest: Manifest) -> str:
    """Return the artifact's type; of older artifacts the config's media type tells it."""
    kind = string(_document(manifest), "artifactType", "the manifest", "")
    return kind or manifest.config.media_type


def artifact_created(manifest: Manifest) -> str:
    """Return the annotation on when the artifact was made, "" if there is none."""
    annotations = mapping(_document(manifest), "annotations", "the manifest", {})
    return string(annotations, _CREATED, "the manifest's annotations", "")


def artifact_seconds(manifest: Manifest) -> int:
    """Return when the artifact was made, in seconds since 1970; 0 if it does not tell."""
    try:
        return parse_time(artifact_created(manifest))
    except LayerError:
        return 0


def _document(manifest: Manifest) -> Document:
    return parse_document(manifest.raw, "the manifest")


def index_of(entries: Iterable[Document]) -> bytes:
    """Return the index of these entries, sorted by name."""
    ordered = sorted(entries, key=lambda entry: (name_of(entry), str(entry.get("digest"))))
    return compact_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": ordered})


def parse_index(raw: bytes | None) -> list[Document]:
    """Return the entries of a store's index, none without an index. Raise LayerError if it is
    malformed."""
    if raw is None:
        return []
    entries = array(parse_document(raw, INDEX, MAX_RECORDS_SIZE), "manifests", INDEX, [])
    for entry in entries:
        if not isinstance(entry, dict):
            raise LayerError(f"{INDEX}: an entry is no object")
        name_of(entry)
        digest_of(entry)
    return entries


def digest_of(entry: Document) -> Digest:
    """Return the digest of an entry's manifest."""
    return Digest.parse(entry.get("digest"))


def name_of(entry: Document) -> str:
    """Return the artifact's name in an entry, "" if there is none."""
    return string(mapping(entry, "annotations", INDEX, {}), _NAME, f"{INDEX}'s annotations", "")


def merged_entries(present: Sequence[Document], added: Sequence[Document]) -> list[Document]:
    """Return the entries of both, without those of `present` whose name an added one takes."""
    names = {name_of(entry) for entry in added}
    return [*(entry for entry in present if name_of(entry) not in names), *added]


@frozen
class StoredArtifact:
    """An artifact of a store."""

    name: str
    manifest: Manifest
    entry: Document

    @classmethod
    def read(cls, entry: Document, raw: bytes | None) -> StoredArtifact:
        """Parse the manifest `raw` of an entry. Raise LayerError if it is not the entry's."""
        name, digest = name_of(entry), digest_of(entry)
        with within(digest=f"artifact {name or digest}"):
            if raw is None:
                raise LayerError("its manifest is missing in the store")
            manifest = parse_artifact(digest.check(raw, "the manifest"), digest.algorithm)
        return cls(name, manifest, entry)

    def document(self) -> dict[str, Any]:
        """Return the keys for JSON."""
        return {
            "name": self.name or None,  # the name in the store, or `null`
            "digest": self.manifest.digest,  # the manifest's digest
            "artifact_type": artifact_kind(self.manifest),  # the artifact's type
            "size": self.size,  # bytes of its blobs
        }

    @property
    def id(self) -> str:
        """Return the hex digits of the manifest's digest."""
        return self.manifest.digest.hex

    @property
    def label(self) -> str:
        return self.name or str(self.manifest.digest)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,) if self.name else ()

    @property
    def digests(self) -> tuple[Digest, ...]:
        return (self.manifest.digest,)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        return artifact_blobs(self.manifest)

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)


def blob_path(digest: Digest) -> str:
    """Return the path in a store of an artifact's blob."""
    return f"{ARTIFACTS}/blobs/{digest.algorithm}/{digest.hex}"
