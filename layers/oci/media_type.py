"""The media types of OCI and docker v2s2 images, and the compression that each implies."""

from __future__ import annotations

from enum import Enum

from layers.errors import LayerError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

TAR_LAYER = "application/vnd.oci.image.layer.v1.tar"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
# Types that old tools gave docker configs. Docker takes the same: github.com/moby/moby
# distribution/registry.go, `imageTypes`.
OLD_DOCKER_CONFIGS = ("", "application/octet-stream", "application/json", "text/html")

DOCKER_LAYERS = "application/vnd.docker."

_LAYER_STEMS = (
    TAR_LAYER,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


class Compression(Enum):
    """How a layer's tar is compressed. The values are containers-storage's numbers.

    Source: containers/storage pkg/archive, `const ( Uncompressed Compression = iota … )`.
    """

    NONE = 0
    GZIP = 2
    ZSTD = 4


_SUFFIXES = {
    "": Compression.NONE,
    "+gzip": Compression.GZIP,
    "+zstd": Compression.ZSTD,
    ".gzip": Compression.GZIP,
    ".zstd": Compression.ZSTD,
}


def layer_compression(media_type: str) -> Compression:
    """Return the compression of a layer of this media type. Raise LayerError for an unknown one."""
    if media_type.endswith("+encrypted"):
        raise LayerError(
            f"the layer is encrypted ({media_type})",
            hint="decrypt the image first: skopeo copy --decryption-key KEY …",
        )
    for stem in _LAYER_STEMS:
        suffix = media_type.removeprefix(stem)
        if suffix != media_type and suffix in _SUFFIXES:
            return _SUFFIXES[suffix]
    raise LayerError(
        f"layer media type {media_type[:200]!r} is not known",
        hint="layers are tar, tar+gzip or tar+zstd, in OCI's or docker's spelling",
    )


def may_be_unpacked(media_type: str) -> bool:
    """Return whether a layer of this media type may be a plain tar although the type says gzip.

    skopeo's docker-archive and docker-daemon transports label every layer with docker's gzip type,
    and then stream the plain tar (containers/image docker/internal/tarfile).
    """
    return media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip"
