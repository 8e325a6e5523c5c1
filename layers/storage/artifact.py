"""An OCI artifact, such as a model or a chart, and its entry in the index of a store.

podman and CRI-O keep artifacts in an OCI layout. The index gives each artifact's full name,
REPOSITORY:TAG or REPOSITORY@DIGEST, as `org.opencontainers.image.ref.name`. One entry that they
cannot read makes all artifacts of the store unreadable. Source: container-libs of April 2026,
common/pkg/libartifact/store.go; podman 5.4, pkg/libartifact/store, has the same layout.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from layers.digest import Digest
from layers.document import MAX_RECORDS_SIZE, array, compact_json, mapping, parse_document, string
from layers.errors import LayerError, within
from layers.frozen import frozen
from layers.moment import parse_time
from layers.oci.manifest import Descriptor, parse_single
from layers.oci.media_type import OCI_INDEX
from layers.oci.readable import check_manifest
from layers.storage.image import ImageLayer, short_name

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
_TITLE = "org.opencontainers.image.title"
# Names that the OCI transport takes (container-libs, image/oci/internal/oci_util.go).
_WORD = "[A-Za-z0-9]+"
_PART = f"{_WORD}(?:(?:[-._:@+]|--){_WORD})*"
_NAMES = f"{_PART}(?:/{_PART})*"


@frozen
class Artifact:
    """An artifact of a store, and its entry in the store's index."""

    manifest: Manifest
    entry: Document

    # What images may have, and no artifact has.
    components: ClassVar[tuple[str, ...]] = ()
    platform: ClassVar[str] = ""
    flattened: ClassVar[bool] = False

    @classmethod
    def read(cls, entry: Document, raw: bytes | None) -> Artifact:
        """Parse the manifest `raw` of an entry. Raise LayerError if it is not the entry's."""
        name, digest = name_of(entry), digest_of(entry)
        with within(digest=f"artifact {name or digest}"):
            if raw is None:
                raise LayerError("its manifest is missing in the store")
            raw = digest.check(raw, "the manifest")
            manifest = parse_single(raw, digest.algorithm, artifact=True)
        return Artifact(manifest, entry)

    def document(self) -> dict[str, Any]:
        """Return the keys for JSON."""
        return {
            "name": next(iter(self.names), None),  # the name in the store, or `null`
            "digest": self.digest,  # the manifest's digest
            "artifact_type": self.kind,  # the artifact's type
            "size": self.size,  # bytes of its blobs
        }

    @property
    def digest(self) -> Digest:
        """Return the manifest's digest."""
        return self.manifest.digest

    @property
    def digests(self) -> tuple[Digest, ...]:
        return (self.digest,)

    @property
    def id(self) -> str:
        """Return the hex digits of the manifest's digest, by which podman finds the artifact."""
        return self.digest.hex

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name in the store, if there is one."""
        name = name_of(self.entry)
        return (name,) if name else ()

    @property
    def label(self) -> str:
        return next(iter(self.names), str(self.digest))

    @property
    def short_label(self) -> str:
        return short_name(self.label)

    @property
    def kind(self) -> str:
        """Return the artifact's type; of older artifacts the config's media type tells it."""
        kind = string(self._document, "artifactType", "the manifest", "")
        return kind or self.manifest.config.media_type

    @property
    def created(self) -> str:
        """Return the annotation on when the artifact was made, "" if there is none."""
        annotations = mapping(self._document, "annotations", "the manifest", {})
        return string(annotations, _CREATED, "the manifest's annotations", "")

    @property
    def created_seconds(self) -> int:
        """Return when the artifact was made, in seconds since 1970; 0 if it does not tell."""
        try:
            return parse_time(self.created)
        except LayerError:
            return 0

    @property
    def files(self) -> list[tuple[str, Descriptor]]:
        """Return the files' names, as their annotations have them, and their blobs."""
        layers = array(self._document, "layers", "the manifest", [])
        annotations = [mapping(layer, "annotations", "a layer", {}) for layer in layers]
        titles = [string(each, _TITLE, "a layer's annotations", "") for each in annotations]
        return list(zip(titles, self.manifest.layers, strict=True))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Return the config and the files, each digest once."""
        blobs = {blob.digest: blob for blob in (self.manifest.config, *self.manifest.layers)}
        return tuple(blobs.values())

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """Return the blobs as an image's layers."""
        return tuple(map(ImageLayer.of_file, self.blobs))

    @property
    def size(self) -> int:
        """Return the bytes of the blobs."""
        return sum(blob.size for blob in self.blobs)

    @property
    def _document(self) -> Document:
        return parse_document(self.manifest.raw, "the manifest")


@frozen
class ResolvedArtifact(Artifact):
    """An artifact to import. skopeo finds the blobs in `source`. `name` overrides the reference's
    name."""

    reference: Reference
    source: str
    name: ImageName | None

    @classmethod
    def of(
        cls, reference: Reference, source: str, manifest: Manifest, name: ImageName | None = None
    ) -> ResolvedArtifact:
        """Name the artifact. Raise LayerError for an artifact that podman could not read back.

        A name with a tag loses its digest: podman refuses both together, and finds a repository's
        artifact by the manifest's digest under any tag.
        """
        check_manifest(manifest, artifact=True)
        full = name or reference.name
        if full is None:
            raise LayerError(
                "the artifact has no name",
                hint="write NAME=REF, with a name such as localhost/model:1",
            )
        stored = f"{full.repository}:{full.tag}" if full.tag else str(full.at(manifest.digest))
        if not re.fullmatch(_NAMES, stored):
            raise LayerError(
                f"no name for an artifact in an OCI layout: {stored}",
                hint="write NAME=REF, with a name that has no run of '_', '.' or '-'",
            )
        descriptor = Descriptor(manifest.media_type, manifest.digest, len(manifest.raw))
        entry = descriptor.document | {"annotations": {_NAME: stored}}
        return cls(manifest, entry, reference, source, name)


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


def blob_path(digest: Digest) -> str:
    """Return the path in a store of an artifact's blob."""
    return f"{ARTIFACTS}/blobs/{digest.algorithm}/{digest.hex}"
