"""Refuse images that podman cannot read back from its store; doubt those that it could not run.

One unreadable image makes `podman images` fail for the whole store, so that none of its images can
be listed. Source: github.com/containers/image v5.34, manifest/docker_schema2.go
(`Schema2FromManifest`), manifest/oci.go (`OCI1FromManifest`, `Inspect`), internal/manifest/
common.go (`ValidateUnambiguousManifestFormat`), and containers/common libimage/inspect.go.

Of a doubtful image podman cannot create a container. Source: podman 5.4 and container-libs of
April 2026, pkg/signal/signal_common.go (`ParseSignalNameOrNumber`) and libpod/options.go (64 is
SIGRTMAX); containerd's platforms 0.2, `specifierRe` and `osAndVersionRe`, by which a pull from
another transport is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layers.document import mapping, parse_document, string
from layers.errors import LayerError, within
from layers.oci import go_structs, media_type
from layers.oci.go_json import check, folded_key
from layers.oci.media_type import Compression, layer_compression

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layers.document import Document
    from layers.oci.config import ImageConfig
    from layers.oci.manifest import Index, Manifest

_HINT = "podman and CRI-O cannot read such an image; one of them makes `podman images` fail"
# Keys with which a document could be read as one of another kind.
_FOREIGN_TO_MANIFEST = ("manifests", "fslayers", "history")
_FOREIGN_TO_INDEX = ("config", "layers", "fslayers", "history")

_SIGNALS = frozenset((
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
))  # fmt: skip
_NUMBER = re.compile(r"[+-]?0*([1-9][0-9]?)", re.ASCII)
_LARGEST = 64
_REAL_TIME = re.compile(r"RTMIN\+([1-9]|1[0-5])|RTMAX-([1-9]|1[0-4])", re.ASCII)
_PLATFORM = re.compile(r"[A-Za-z0-9_.()-]*", re.ASCII)
_SHOWN = 60


def check_image(manifest: Manifest, config: ImageConfig) -> None:
    """Raise LayerError, naming the field, if podman could not read this image."""
    check_manifest(manifest)
    docker = manifest.media_type == media_type.DOCKER_MANIFEST
    with within(digest=str(manifest.config.digest), hint=_HINT):
        document = parse_document(config.raw, "the config")
        check(document, go_structs.OCI_CONFIG, "the config")
        struct = go_structs.DOCKER_CONFIG if docker else go_structs.DOCKER_V1_CONFIG
        check(document, struct, "the config")


def check_manifest(manifest: Manifest, *, artifact: bool = False) -> None:
    """Raise LayerError, naming the field, if podman could not read this manifest. Of an
    `artifact`, the config may have any media type."""
    docker = manifest.media_type == media_type.DOCKER_MANIFEST
    with within(digest=str(manifest.digest), hint=_HINT):
        document = parse_document(manifest.raw, "the manifest")
        struct = go_structs.DOCKER_MANIFEST if docker else go_structs.OCI_MANIFEST
        check(document, struct, "the manifest")
        _check_unambiguous(document, "the manifest", _FOREIGN_TO_MANIFEST)
        if artifact:
            return
        if docker:
            _check_docker_types(document, manifest)
        elif manifest.config.media_type != media_type.OCI_CONFIG:
            raise LayerError(
                f"the config of an OCI manifest has the media type {manifest.config.media_type!r}"
            )


def check_index(index: Index) -> None:
    """Raise LayerError, naming the field, if skopeo could not read this index."""
    docker = index.media_type == media_type.DOCKER_LIST
    with within(digest=str(index.digest), hint=_HINT):
        document = parse_document(index.raw, "the index")
        struct = go_structs.DOCKER_LIST if docker else go_structs.OCI_INDEX
        check(document, struct, "the index")
        _check_unambiguous(document, "the index", _FOREIGN_TO_INDEX)


def _check_unambiguous(document: Document, what: str, foreign: tuple[str, ...]) -> None:
    for key, value in document.items():
        if value is not None and folded_key(key) in foreign:
            raise LayerError(f"{what} has a field {key[:20]!r}, as a document of another kind has")


def _check_docker_types(document: Document, manifest: Manifest) -> None:
    """Raise LayerError unless the manifest states docker's media type and all layer types are
    docker's, which podman takes for zstd only since 5.7."""
    if document.get("mediaType") != media_type.DOCKER_MANIFEST:
        raise LayerError("the manifest has a docker config, but does not state docker's media type")
    for number, layer in enumerate(manifest.layers, 1):
        oci = not layer.media_type.startswith(media_type.DOCKER_LAYERS)
        if oci or layer_compression(layer.media_type) is Compression.ZSTD:
            raise LayerError(
                f"layer {number} of a docker manifest has the media type {layer.media_type}"
            )


def doubts(config: ImageConfig) -> Iterator[str]:
    """Yield reasons why podman would not create a container of the image, or not pull the image."""
    inner = mapping(parse_document(config.raw, "the config"), "config", "the config", {})
    signal = string(inner, "StopSignal", "the config", "")
    if signal and not _is_signal(signal):
        yield f"its StopSignal {signal[:_SHOWN]!r} is no signal"
    platform = {"os": config.os, "architecture": config.architecture, "variant": config.variant}
    for name, value in platform.items():
        if not _PLATFORM.fullmatch(value):
            yield f"its {name} {value[:_SHOWN]!r} is none"


def _is_signal(text: str) -> bool:
    number = _NUMBER.fullmatch(text)
    if number is not None:
        return int(number[1]) <= _LARGEST
    name = text.removeprefix("-").upper().removeprefix("SIG")
    return name in _SIGNALS or _REAL_TIME.fullmatch(name) is not None
