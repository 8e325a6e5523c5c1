"""Container images, built byte for byte the same each time."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zstandard

from tests.tools.entry import Entry
from tests.tools.layout import Layout, digest_of, json_bytes
from tests.tools.mediatype import family
from tests.tools.tarbuild import tar_bytes

Compression = Literal["gzip", "zstd", "none"]


@dataclass(frozen=True)
class Packed:
    """A layer whose blob is as it is."""

    tar: bytes
    blob: bytes
    media_type: str


#: A layer: its entries, the uncompressed tar as it is, or the blob, too.
LayerSource = Sequence[Entry] | bytes | Packed
Document = dict[str, Any]
Edit = Callable[[Document], None]

CREATED = "2024-05-06T07:08:09Z"


@dataclass(frozen=True)
class Blob:
    """A descriptor's three fields."""

    digest: str
    size: int
    media_type: str

    def descriptor(self) -> Document:
        """The JSON of the descriptor."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class BuiltImage:
    """An image in a layout, and the names of all its parts."""

    directory: Path
    tag: str
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    diff_ids: tuple[str, ...]
    platform: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return self.manifest.digest

    @property
    def config_digest(self) -> str:
        """The config's digest, whose hex digits are podman's image id."""
        return self.config.digest

    @property
    def image_id(self) -> str:
        """The config's digest without its algorithm."""
        return self.config.digest.partition(":")[2]

    @property
    def layer_digests(self) -> tuple[str, ...]:
        """The digests of the layers' blobs, compressed as they are."""
        return tuple(layer.digest for layer in self.layers)

    def path(self, digest: str) -> Path:
        """The file of a blob."""
        return Layout(self.directory).blob_path(digest)

    def read(self, blob: Blob) -> bytes:
        """The bytes of a blob."""
        return self.path(blob.digest).read_bytes()


@dataclass(frozen=True)
class ImagePair:
    """Two images that share layers, and their names in the registry."""

    one: BuiltImage
    two: BuiltImage
    names: tuple[str, str]


@dataclass(frozen=True)
class BuiltIndex:
    """An image index or Docker manifest list, and its images."""

    directory: Path
    tag: str
    manifest: Blob
    images: tuple[BuiltImage, ...]

    @property
    def digest(self) -> str:
        """The index' own digest."""
        return self.manifest.digest

    def read(self) -> bytes:
        """The bytes of the index."""
        return Layout(self.directory).blob_path(self.digest).read_bytes()


def compress(data: bytes, compression: Compression) -> bytes:
    """The data, compressed without a trace of when."""
    if compression == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if compression == "zstd":
        return zstandard.ZstdCompressor().compress(data)
    return data


def build_oci(
    directory: Path,
    tag: str,
    layers: Sequence[LayerSource],
    *,
    compression: Compression | Sequence[Compression] = "gzip",
    docker: bool = False,
    config: Mapping[str, Any] | None = None,
    created: str | None = CREATED,
    history: Sequence[Mapping[str, Any]] | None = None,
    architecture: str = "amd64",
    os: str = "linux",
    variant: str | None = None,
    layer_types: Sequence[str] | None = None,
    annotations: Mapping[str, str] | None = None,
    edit_config: Edit | None = None,
    edit_manifest: Edit | None = None,
) -> BuiltImage:
    """Writes an image into the layout `directory` (made if absent) and tags it there.

    `config` is the config's inner part ("Cmd", "Env", ...). `edit_config` and `edit_manifest`
    may change the finished documents in place, for the better or the worse. `docker` makes
    a v2 schema 2 manifest; most tools want such a one from a registry, not from a layout.
    """
    tars = [_tar(one) for one in layers]
    layout, names = Layout(directory), family(docker)
    kinds = [compression] * len(tars) if isinstance(compression, str) else compression
    types = list(layer_types or []) or [names.of_layer(kind) for kind in kinds]
    packed = [compress(tar, kind) for tar, kind in zip(tars, kinds, strict=True)]
    for number, one in enumerate(layers):
        if isinstance(one, Packed):
            packed[number], types[number] = one.blob, one.media_type
    blobs = [_put(layout, data, kind) for data, kind in zip(packed, types, strict=True)]
    platform = {"architecture": architecture, "os": os} | ({"variant": variant} if variant else {})
    diff_ids = [digest_of(tar) for tar in tars]
    document = _config(platform, created, config or {}, diff_ids, history)
    config_blob = _put_json(layout, document, names.config, edit_config)
    listing = _manifest(names.manifest, config_blob, blobs, annotations)
    manifest = _put_json(layout, listing, names.manifest, edit_manifest)
    layout.tag(tag, manifest.descriptor() | {"platform": platform})
    return BuiltImage(
        directory, tag, manifest, config_blob, tuple(blobs), tuple(diff_ids), platform
    )


def build_index(
    directory: Path,
    tag: str,
    images: Sequence[BuiltImage],
    *,
    docker: bool = False,
    edit_index: Edit | None = None,
) -> BuiltIndex:
    """Writes an index, or a Docker manifest list, over images of the same layout."""
    names, layout = family(docker), Layout(directory)
    manifests = [image.manifest.descriptor() | {"platform": image.platform} for image in images]
    document = {"schemaVersion": 2, "mediaType": names.index, "manifests": manifests}
    blob = _put_json(layout, document, names.index, edit_index)
    layout.tag(tag, blob.descriptor())
    return BuiltIndex(directory, tag, blob, tuple(images))


def _tar(layer: LayerSource) -> bytes:
    if isinstance(layer, Packed):
        return layer.tar
    return layer if isinstance(layer, bytes) else tar_bytes(layer)


def _put(layout: Layout, data: bytes, media_type: str) -> Blob:
    return Blob(layout.put(data), len(data), media_type)


def _put_json(layout: Layout, document: Document, media_type: str, edit: Edit | None) -> Blob:
    if edit:
        edit(document)
    return _put(layout, json_bytes(document), media_type)


def _config(
    platform: Mapping[str, str],
    created: str | None,
    inner: Mapping[str, Any],
    diff_ids: Sequence[str],
    history: Sequence[Mapping[str, Any]] | None,
) -> Document:
    stamp = {"created": created} if created else {}
    if history is None:
        history = [stamp | {"created_by": f"layer {n}"} for n in range(len(diff_ids))]
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    parts = {"config": dict(inner), "rootfs": rootfs, "history": list(history)}
    return {**stamp, **platform, **parts}


def _manifest(
    media_type: str, config: Blob, layers: Sequence[Blob], annotations: Mapping[str, str] | None
) -> Document:
    document: Document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
    }
    return document | ({"annotations": dict(annotations)} if annotations else {})
