"""Values of every type in every field of every document: they are parsed, or refused by an error
of ours. What is parsed can be written and shown."""

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from layers.digest import Digest
from layers.errors import LayerError
from layers.lists.detect import ListRules
from layers.oci.config import ImageConfig, layer_commands, parse_config, shown_command
from layers.oci.manifest import Descriptor, Manifest, parse_manifest
from layers.oci.readable import check_image, check_index
from layers.oci.reference import Reference
from layers.oci.signature_policy import accepts_anything
from layers.release.commit_metadata import images_release, layer_sizes, metadata, stored_release
from layers.release.lock import parse_lock
from layers.release.release import Component, Release
from layers.release.source import parse_source
from layers.storage.docker_records import parse_repositories
from layers.storage.image_record import StoredImage, any_images, own_images
from layers.storage.layer_record import StoredLayer, any_layers, own_layers
from layers.storage.merge_records import store_union
from layers.tarsplit.record_reader import segments
from tests.tools.gofields import Base, right
from tests.tools.layout import digest_of, json_bytes
from tests.tools.mediatype import OCI

#: Each is wrong in most places; control characters and halves of surrogate pairs may be right.
VALUES: list[Any] = [
    *(None, True, 0, -1, 1.5, 2**63, 10**400, "", "x", "\x1b[31m\r\n", "\ud800", "a" * 5000),
    *([], [None], [5], ["\udfff"], {}, {"\ud800": 5}, {"x": None}),
]

type Path = tuple[str | int, ...]

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"
BASE = Base(DIGEST, 4, digest_of(b"tar"))
IMAGE = right(BASE, docker=False, spelling="full")
DOCKER = right(BASE, docker=True, spelling="full")
NAME = f"quay.io/a/b@{DIGEST}"


def as_image(raw: bytes) -> str:
    """A manifest, as an import reads it; what it says."""
    found = parse_manifest(raw)
    if isinstance(found, Manifest):
        config = IMAGE.config if IMAGE.id in raw.decode() else DOCKER.config
        check_image(found, parse_config(config, found))
    else:
        check_index(found)
    return repr(found)


def as_config(raw: bytes) -> str:
    """A config, as an import reads it, and what `show` and `report` say of it."""
    config = _config(raw)
    manifest = parse_manifest(IMAGE.manifest)
    assert isinstance(manifest, Manifest)
    check_image(manifest, config)
    return _shown(config)


def as_stored_config(raw: bytes) -> str:
    """The same out of a store, where it was never checked."""
    return _shown(_config(raw))


def _config(raw: bytes) -> ImageConfig:
    blob = Descriptor(OCI.config, Digest.of(raw), len(raw))
    layer = Descriptor(OCI.of_layer("gzip"), Digest.parse(DIGEST), 4)
    return parse_config(raw, Manifest(b"", Digest.of(b""), OCI.manifest, blob, (layer,)))


def _shown(config: ImageConfig) -> str:
    commands = [shown_command(command) for command in layer_commands(config)]
    platform = f"{config.os}/{config.architecture}/{config.variant}"
    return "\n".join([*commands, platform, config.created, str(config.created_seconds)])


def as_union(layers: bytes, images: bytes) -> str:
    """The records of a store, to which an image is added."""
    digest, kind = Digest.parse(DIGEST), own_layers(json_bytes(LAYERS))[0].compression
    layer = StoredLayer("f" * 64, (), digest, 1, digest, 1, kind, (0,), (0,))
    image = StoredImage("f" * 64, digest, ("quay.io/x/y:1",), layer.id, "", {"manifest": b"{}"})
    found = store_union(layers, images, [layer], [image])
    return (found.layers + found.images).decode()


def as_records(raw: bytes) -> str:
    """The images of any store, and what is read of them later."""
    return repr([(one, one.kept_from, one.signature_sizes) for one in any_images(raw)])


LAYERS = [
    {
        "id": HEX,
        "parent": "",
        "compressed-diff-digest": DIGEST,
        "compressed-size": 5,
        "diff-digest": DIGEST,
        "diff-size": 5,
        "compression": 2,
        "uidset": [0],
        "gidset": [0],
        "flags": {"incomplete": False},
    }
]
IMAGES = [
    {
        "id": HEX,
        "digest": DIGEST,
        "names": [NAME],
        "layer": HEX,
        "mapped-layers": [HEX],
        "metadata": json.dumps({"signatures-sizes": {DIGEST: [5, 6]}}),
        "flags": {"import-image.kept-from": "4.20"},
        "big-data-names": ["manifest"],
        "big-data-sizes": {"manifest": 5},
        "big-data-digests": {"manifest": DIGEST},
        "created": "2024-05-06T07:08:09Z",
    }
]
INDEX = {
    "schemaVersion": 2,
    "mediaType": OCI.index,
    "manifests": [
        {
            "mediaType": OCI.manifest,
            "digest": DIGEST,
            "size": 5,
            "platform": {"architecture": "amd64", "os": "linux", "os.features": ["x"]},
        }
    ],
    "annotations": {"a": "b"},
}
STREAM = {
    "kind": "ImageStream",
    "metadata": {"name": "4.20.1"},
    "spec": {
        "tags": [
            {
                "name": "cli",
                "from": {"kind": "DockerImage", "name": NAME},
                "annotations": {"io.openshift.build.commit.id": "c"},
            }
        ]
    },
}
RELEASE_INFO = {
    "references": STREAM,
    "metadata": {"version": "4.20.1"},
    "config": {"architecture": "amd64"},
}
MICROSHIFT = {"release": {"base": "4.20.1"}, "images": {"cli": NAME}}
CONTROLLER = {"name": "4.20.1", "phase": "Accepted", "pullSpec": NAME, "downloadURL": "x"}
METADATA = dict(metadata(Release({"cli": Component("cli", NAME, "s", "c", DIGEST)}, "n", "v", "a")))
LOCK = {
    "import-release-lock": 1,
    "releases": {
        "amd64": {
            "name": "n",
            "version": "v",
            "stream": "s",
            "images": {
                "cli": {
                    "pullspec": f"quay.io/a/b@{digest_of(IMAGE.manifest)}",
                    "source": "s",
                    "commit": "c",
                    "manifest": digest_of(IMAGE.manifest),
                }
            },
        }
    },
    "documents": {
        digest_of(IMAGE.manifest): IMAGE.manifest.decode(),
        digest_of(IMAGE.config): IMAGE.config.decode(),
    },
}
POLICY = {
    "default": [{"type": "insecureAcceptAnything"}],
    "transports": {"docker": {"quay.io": [{"type": "reject"}]}},
}


@dataclass(frozen=True)
class Parser:
    """A document that is right, and what reads it; its answer is text, or can be shown as text."""

    document: Any
    read: Callable[[bytes], object]


PARSERS = {
    "manifest": Parser(json.loads(IMAGE.manifest), as_image),
    "docker-manifest": Parser(json.loads(DOCKER.manifest), as_image),
    "index": Parser(INDEX, as_image),
    "config": Parser(json.loads(IMAGE.config), as_config),
    "stored-config": Parser(json.loads(DOCKER.config), as_stored_config),
    "layers.json": Parser(LAYERS, own_layers),
    "any-layers.json": Parser(LAYERS, any_layers),
    "images.json": Parser(IMAGES, own_images),
    "any-images.json": Parser(IMAGES, as_records),
    "merged-layers.json": Parser(LAYERS, lambda raw: as_union(raw, json_bytes(IMAGES))),
    "merged-images.json": Parser(IMAGES, lambda raw: as_union(json_bytes(LAYERS), raw)),
    "repositories.json": Parser({"Repositories": {"a": {"a:1": DIGEST}}}, parse_repositories),
    "release-of-a-store": Parser(IMAGES, lambda raw: images_release(raw, "it")),
    "sizes-of-a-store": Parser(LAYERS, lambda raw: layer_sizes(raw, "it")),
    "image-stream": Parser(STREAM, lambda raw: parse_source(raw, "it", ListRules())),
    "release-info": Parser(RELEASE_INFO, lambda raw: parse_source(raw, "it", ListRules())),
    "microshift": Parser(MICROSHIFT, lambda raw: parse_source(raw, "it", ListRules())),
    "controller": Parser(CONTROLLER, lambda raw: parse_source(raw, "it", ListRules())),
    "controller-tags": Parser(
        {"tags": [CONTROLLER]}, lambda raw: parse_source(raw, "it", ListRules())
    ),
    "commit-metadata": Parser(
        json.loads(METADATA["import-release.images"]),
        lambda raw: stored_release(METADATA | {"import-release.images": raw.decode()}, "it"),
    ),
    "lock": Parser(LOCK, lambda raw: parse_lock(raw, "it")),
    "policy": Parser(POLICY, lambda raw: accepts_anything(raw, Reference.parse(NAME))),
}


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every place of a document, itself first."""
    yield at
    match value:
        case dict():
            for key in value:
                yield from places(value[key], (*at, key))
        case list():
            for number, inner in enumerate(value):
                yield from places(inner, (*at, number))
        case _:
            pass


def variants(document: Any) -> Iterator[Any]:
    """The document with another value in each place, and with other names of its fields."""
    for place in places(document):
        for value in VALUES:
            yield changed(document, place, value)
        if place and isinstance(place[-1], str):
            yield changed(document, place, None, renamed=place[-1].upper() + "\ud800")


def changed(document: Any, place: Path, value: Any, renamed: str = "") -> Any:
    """A copy with this value, or with a field renamed."""
    if not place:
        return value
    copied = copy.deepcopy(document)
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    if renamed:
        inner[renamed] = inner.pop(place[-1])
    else:
        inner[place[-1]] = value
    return copied


@pytest.mark.parametrize("name", PARSERS)
def test_it_is_parsed_or_refused(name: str) -> None:
    parser = PARSERS[name]
    parser.read(json_bytes(parser.document))
    taken = refused = 0
    unprintable: list[bytes] = []
    for variant in variants(parser.document):
        raw = json.dumps(variant).encode()
        try:
            found = parser.read(raw)
        except LayerError as error:
            refused += 1
            unprintable += [] if str(error).isprintable() else [raw]
        else:
            taken += 1
            (found if isinstance(found, str) else repr(found)).encode()
    assert unprintable == []
    assert taken
    assert refused or name == "policy"


LINES = [
    {"type": 1, "name": "f", "size": 3, "payload": "AAAAAAAAAAA=", "position": 1},
    {"type": 1, "name_raw": "/w==", "size": 3, "payload": None, "position": 2},
    {"type": 2, "payload": "AAAA", "position": 3},
]


@pytest.mark.parametrize("line", LINES, ids=["file", "raw-name", "raw"])
def test_a_line_of_tar_split_is_parsed_or_refused(line: dict[str, Any]) -> None:
    taken = refused = 0
    for variant in variants(line):
        record = gzip.compress(json.dumps(variant).encode() + b"\n", mtime=0)
        try:
            taken += len(list(segments(iter([record]))))
        except LayerError:
            refused += 1
    assert taken
    assert refused


def test_the_metadata_of_a_record_are_a_document_of_their_own() -> None:
    for variant in variants({"signature-sizes": [5], "signatures-sizes": {DIGEST: [5, 6]}}):
        record = IMAGES[0] | {"metadata": json.dumps(variant)}
        try:
            as_records(json_bytes([record]))
        except LayerError:
            continue
