"""Manifests and indexes, of both families, and what is neither or could be both."""

import json
from typing import Any

import pytest

from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.manifest import MAX_LAYERS, Index, Manifest, parse_manifest
from layers.oci.media_type import Compression, layer_compression, may_be_unpacked
from tests.tools.mediatype import DOCKER, OCI, MediaTypes

FAMILIES = pytest.mark.parametrize("names", [OCI, DOCKER], ids=["oci", "docker"])


def descriptor(media_type: str, data: bytes = b"x") -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data)}


def manifest(names: MediaTypes = OCI, **changes: Any) -> dict[str, Any]:
    layers = [descriptor(names.of_layer("gzip"), b"%d" % n) for n in range(3)]
    plain = {
        "schemaVersion": 2,
        "mediaType": names.manifest,
        "config": descriptor(names.config),
        "layers": layers,
    }
    return {key: value for key, value in (plain | changes).items() if value is not ...}


def index(names: MediaTypes = OCI, **changes: Any) -> dict[str, Any]:
    members = [descriptor(names.manifest, b"%d" % n) for n in range(2)]
    plain = {"schemaVersion": 2, "mediaType": names.index, "manifests": members}
    return {key: value for key, value in (plain | changes).items() if value is not ...}


def raw(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


@FAMILIES
def test_a_manifest(names: MediaTypes) -> None:
    data = raw(manifest(names))
    found = parse_manifest(data)
    assert isinstance(found, Manifest)
    assert (found.raw, found.digest, found.media_type) == (data, Digest.of(data), names.manifest)
    assert [layer.digest for layer in found.layers] == [Digest.of(b"%d" % n) for n in range(3)]
    assert found.config.size == 1


@FAMILIES
def test_an_index(names: MediaTypes) -> None:
    found = parse_manifest(raw(index(names)))
    assert isinstance(found, Index)
    assert found.member(Digest.of(b"1")).media_type == names.manifest
    with pytest.raises(LayerError, match="does not list"):
        found.member(Digest.of(b"2"))


def test_the_digest_is_of_the_algorithm_asked_for() -> None:
    data = raw(manifest())
    assert parse_manifest(data, "sha512").digest == Digest.of(data, "sha512")


@FAMILIES
def test_a_manifest_without_its_media_type(names: MediaTypes) -> None:
    """OCI's field is optional: the config tells."""
    found = parse_manifest(raw(manifest(names, mediaType=...)))
    assert found.media_type == names.manifest


def test_layers_null_as_go_writes_none() -> None:
    found = parse_manifest(raw(manifest(layers=None)))
    assert isinstance(found, Manifest)
    assert found.layers == ()


def test_an_image_may_state_an_artifact_type() -> None:
    """podman and skopeo go by the config's type alone."""
    assert isinstance(parse_manifest(raw(manifest(artifactType="application/x"))), Manifest)


BAD = [
    (manifest(schemaVersion=1), "schema 1"),
    (manifest(mediaType="application/vnd.docker.distribution.manifest.v1+prettyjws"), "schema 1"),
    (manifest(schemaVersion=3), "schemaVersion"),
    (manifest(schemaVersion=...), "schemaVersion"),
    (manifest(manifests=[]), "as an index"),
    (index(layers=[]), "as an index"),
    (index(config={}), "as an index"),
    (manifest(mediaType="text/plain"), "media type 'text/plain'"),
    (manifest(mediaType=OCI.index), "is not known"),
    (index(mediaType=OCI.manifest), "is not known"),
    (manifest(config=descriptor("application/vnd.cncf.helm.config.v1+json")), "not a container"),
    (manifest(config=...), "config"),
    (manifest(config="x"), "config"),
    (manifest(layers={}), "layers"),
    (manifest(layers=[1]), "descriptor"),
    (manifest(layers=[descriptor("x") | {"size": -1}]), "layer 1"),
    (manifest(layers=[descriptor("x") | {"size": "1"}]), "layer 1"),
    (manifest(layers=[descriptor("x") | {"digest": "sha256:0"}]), "sha256"),
    (manifest(layers=[{"mediaType": "x"}]), "digest"),
    (manifest(layers=[descriptor("x")] * (MAX_LAYERS + 1)), "501 layers"),
    (manifest(Layers=[]), "by case alone"),
]


@pytest.mark.parametrize(("document", "says"), BAD, ids=[says for _, says in BAD])
def test_what_is_refused(document: dict[str, Any], says: str) -> None:
    with pytest.raises(LayerError, match=says):
        parse_manifest(raw(document))


@pytest.mark.parametrize(
    ("media_type", "compression"),
    [
        *((OCI.of_layer(kind), kind) for kind in ("none", "gzip", "zstd")),
        *((DOCKER.of_layer(kind), kind) for kind in ("none", "gzip", "zstd")),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "gzip"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "gzip"),
    ],
)
def test_how_a_layer_is_packed(media_type: str, compression: str) -> None:
    assert layer_compression(media_type) is Compression[compression.upper()]


@pytest.mark.parametrize(
    ("media_type", "says"),
    [
        (OCI.of_layer("gzip") + "+encrypted", "encrypted"),
        (OCI.of_layer("none") + "+bzip2", "not known"),
        ("application/octet-stream", "not known"),
        ("", "not known"),
    ],
)
def test_a_layer_that_cannot_be_read(media_type: str, says: str) -> None:
    with pytest.raises(LayerError, match=says) as caught:
        layer_compression(media_type)
    assert caught.value.hint


def test_only_dockers_gzip_may_be_a_plain_tar() -> None:
    assert may_be_unpacked(DOCKER.of_layer("gzip"))
    assert not may_be_unpacked(OCI.of_layer("gzip"))
    assert not may_be_unpacked(DOCKER.of_layer("zstd"))
