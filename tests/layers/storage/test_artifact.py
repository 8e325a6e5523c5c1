"""Artifacts and a store's index of them: values in, values out."""

import json
from typing import Any

import pytest

from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.manifest import parse_single
from layers.oci.reference import ImageName, Reference
from layers.storage.artifact import (
    Artifact,
    ResolvedArtifact,
    index_of,
    merged_entries,
    name_of,
    parse_index,
)

EMPTY = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": str(Digest.of(b"{}")),
    "size": 2,
}
FILE = {"mediaType": "text/x", "digest": str(Digest.of(b"file")), "size": 4}
REFERENCE = Reference.parse("r.io/models/granite:3.1")


def manifest(**fields: Any) -> bytes:
    """A manifest with these fields changed; one that is None is left out."""
    usual = {
        "schemaVersion": 2,
        "artifactType": "application/x.model",
        "config": EMPTY,
        "layers": [FILE, FILE],
    }
    document = {key: value for key, value in (usual | fields).items() if value is not None}
    return json.dumps(document).encode()


def artifact(name: str | None = None, **fields: Any) -> ResolvedArtifact:
    given = ImageName.parse(name) if name is not None else None
    parsed = parse_single(manifest(**fields), artifact=True)
    return ResolvedArtifact.of(REFERENCE, "docker://x", parsed, given)


def test_each_blob_is_there_once() -> None:
    found = artifact(layers=[FILE, EMPTY, FILE])
    assert [layer.id for layer in found.layers] == [EMPTY["digest"], FILE["digest"]]
    assert all(layer.is_file for layer in found.layers)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        (None, "r.io/models/granite:3.1"),
        ("x.io/a_b/c--d:1", "x.io/a_b/c--d:1"),
        (f"x.io/a@{EMPTY['digest']}", f"x.io/a@{Digest.of(manifest())}"),
        (f"x.io/a:1@{EMPTY['digest']}", "x.io/a:1"),
    ],
)
def test_names_in_the_index(name: str | None, stored: str) -> None:
    (entry,) = parse_index(index_of([artifact(name).entry]))
    assert name_of(entry) == stored


@pytest.mark.parametrize("name", ["x.io/a__b:1", "x.io/a---b:1", "x.io/a:_1", "x.io/a:1-"])
def test_a_name_that_no_layout_takes(name: str) -> None:
    """container-libs refuses them, and with one of them podman cannot list the others."""
    with pytest.raises(LayerError, match="no name for an artifact"):
        artifact(name)


@pytest.mark.parametrize(
    "fields",
    [
        {"annotations": {"a": 1}},
        {"manifests": []},
        {"subject": "x"},
        {"fsLayers": []},
        {"mediaType": "application/vnd.docker.distribution.manifest.v2+json"},
        {"artifactType": None, "config": {**EMPTY, "mediaType": ""}},
    ],
)
def test_a_manifest_that_podman_cannot_read(fields: dict[str, Any]) -> None:
    with pytest.raises(LayerError):
        artifact(**fields)


def test_times() -> None:
    key = "org.opencontainers.image.created"
    for text, seconds in (("1970-01-01T00:01:00Z", 60), ("soon", 0), (None, 0)):
        annotations = {key: text} if text else None
        assert artifact(annotations=annotations).created_seconds == seconds


def test_a_name_is_one_artifacts() -> None:
    old, new = artifact("x.io/a:1").entry, artifact("x.io/a:1", layers=[]).entry
    other = artifact("x.io/b:1").entry
    assert merged_entries([old, other], [new]) == [other, new]
    assert parse_index(index_of([other, new])) == [new, other]
    assert parse_index(None) == []


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b'{"manifests": {}}', b'{"manifests": [1]}', b'{"manifests": [{}]}',
     b'{"manifests": [{"digest": "sha256:0"}]}',
     b'{"manifests": [{"digest": "%s", "annotations": 1}]}' % str(EMPTY["digest"]).encode()],
)  # fmt: skip
def test_a_malformed_index(raw: bytes) -> None:
    with pytest.raises(LayerError):
        parse_index(raw)


def test_a_stored_manifest_is_the_entrys() -> None:
    made = artifact()
    found = Artifact.read(made.entry, made.manifest.raw)
    assert (found.names, found.size, found.manifest) == (made.names, 6, made.manifest)
    for raw in (None, made.manifest.raw + b"\n", b"{}"):
        with pytest.raises(LayerError):
            Artifact.read(made.entry, raw)
