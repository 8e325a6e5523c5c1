"""Media types of OCI (image-spec 1.1, media-types.md) and Docker v2 schema 2."""

from dataclasses import dataclass

_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."


@dataclass(frozen=True)
class MediaTypes:
    """The names one family gives its documents; `suffixes` by compression."""

    manifest: str
    index: str
    config: str
    layer: str
    suffixes: dict[str, str]

    def of_layer(self, compression: str) -> str:
        """The layer type for "gzip", "zstd" or "none"."""
        return self.layer + self.suffixes[compression]


OCI = MediaTypes(
    manifest=_OCI + "manifest.v1+json",
    index=_OCI + "index.v1+json",
    config=_OCI + "config.v1+json",
    layer=_OCI + "layer.v1.tar",
    suffixes={"none": "", "gzip": "+gzip", "zstd": "+zstd"},
)
DOCKER = MediaTypes(
    manifest=_DOCKER + "distribution.manifest.v2+json",
    index=_DOCKER + "distribution.manifest.list.v2+json",
    config=_DOCKER + "container.image.v1+json",
    layer=_DOCKER + "image.rootfs.diff.tar",
    suffixes={"none": "", "gzip": ".gzip", "zstd": ".zstd"},
)


def family(docker: bool) -> MediaTypes:
    """Docker's or OCI's names."""
    return DOCKER if docker else OCI
