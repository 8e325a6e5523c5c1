"""What Go decodes is taken in all its spellings, and refused with any field of another type.

tests/device/test_readable_by_podman.py asks podman about the same documents.
"""

from typing import Any

import pytest

from layers.errors import LayerError
from layers.oci.config import parse_config
from layers.oci.go_json import BASE64, INTEGER, STRING, STRING_OR_STRINGS, TIME, Struct, check
from layers.oci.manifest import Index, Manifest, parse_manifest
from layers.oci.readable import check_image, check_index
from tests.tools.gofields import SPELLINGS, Base, OddImage, Spelling, edited, mixed, right, wrong
from tests.tools.goindexes import OddIndex, right_index, wrong_indexes
from tests.tools.layout import digest_of, json_bytes
from tests.tools.mediatype import OCI, family

BASE = Base(digest_of(b"blob"), 4, digest_of(b"tar"))
WRONG = [*wrong(BASE, docker=False), *wrong(BASE, docker=True)]
WRONG_INDEXES = [*wrong_indexes(b"{}", docker=False), *wrong_indexes(b"{}", docker=True)]
FAMILIES = pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])


def read(image: OddImage) -> None:
    """As an import does."""
    manifest = parse_manifest(image.manifest)
    assert isinstance(manifest, Manifest)
    check_image(manifest, parse_config(image.config, manifest))


def read_index(index: OddIndex) -> None:
    """As an import does."""
    found = parse_manifest(index.raw)
    assert isinstance(found, Index)
    check_index(found)


@FAMILIES
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_field_in_each_spelling(spelling: Spelling, docker: bool) -> None:
    read(right(BASE, docker, spelling))


def test_there_are_fields() -> None:
    assert len({image.id for image in WRONG}) == len(WRONG) > 150


@pytest.mark.parametrize("image", WRONG, ids=lambda image: image.name)
def test_each_field_with_a_value_of_another_type(image: OddImage) -> None:
    with pytest.raises(LayerError) as caught:
        read(image)
    field = image.name.rpartition(".")[2].split("[")[0].split()[-1]
    assert field.removesuffix("s") in str(caught.value)


@pytest.mark.parametrize("image", mixed(BASE), ids=lambda image: image.name)
def test_documents_of_two_kinds_in_one(image: OddImage) -> None:
    with pytest.raises(LayerError, match="manifest") as caught:
        read(image)
    assert "podman" in caught.value.advice


@pytest.mark.parametrize(
    "media_type",
    ["application/octet-stream", "application/json", "text/html", "", None, OCI.config],
)
def test_old_docker_images_call_their_config_otherwise(media_type: str | None) -> None:
    """So does docker, whose list this is; an OCI manifest has OCI's own type."""
    image = edited("old", BASE, docker=True)
    config = {"digest": digest_of(image.config), "size": len(image.config)}
    named = config if media_type is None else config | {"mediaType": media_type}
    read(edited("old", BASE, docker=True, config=named))
    if media_type != OCI.config:
        with pytest.raises(LayerError, match="not a container image"):
            read(edited("old", BASE, docker=False, config=named))


def decoded(value: object, **fields: Any) -> bool:
    try:
        check({"f": value}, Struct(fields), "it")
    except LayerError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "accepted", "refused"),
    [
        (STRING, ["", "é"], [0, True, [], {}]),
        (INTEGER, [0, -1, 2**63 - 1, -(2**63)], [2**63, 1.0, True, "1"]),
        (STRING_OR_STRINGS, ["x", [], ["x", None]], [5, [5], {}]),
        (
            BASE64,
            ["", "aGk=", "a\nGk=", [], [0, None, 255]],
            ["aGk", "a Gk=", 5, {}, [256], [-1], [1.0], [True], ["aGk="]],
        ),
        (
            TIME,
            ["2024-05-06T07:08:09Z", "2024-05-06T7:08:09,5+02:00", "0000-01-01T00:00:00Z"],
            ["", "2024-05-06t07:08:09Z", "2024-05-06T07:08:60Z", "2024-02-30T07:08:09Z", 5],
        ),
    ],
    ids=["string", "integer", "string-or-strings", "base64", "time"],
)
def test_go_types(kind: Any, accepted: list[object], refused: list[object]) -> None:
    assert [value for value in accepted if not decoded(value, f=kind)] == []
    assert [value for value in refused if decoded(value, f=kind)] == []
    assert decoded(None, f=kind)


@pytest.mark.parametrize("key", ["labelS", "LABELS", "label\u017f"])
def test_go_finds_a_key_in_any_case(key: str) -> None:
    with pytest.raises(LayerError, match="number 5, not a string"):
        check({key: 5}, Struct({"Labels": STRING}), "the config")
    check({key: "x", "labels-": 5}, Struct({"Labels": STRING}), "the config")


@FAMILIES
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_field_of_an_index_in_each_spelling(spelling: Spelling, docker: bool) -> None:
    read_index(right_index(b"{}", docker, spelling))


@pytest.mark.parametrize("index", WRONG_INDEXES, ids=lambda index: index.name)
def test_each_field_of_an_index_with_a_value_of_another_type(index: OddIndex) -> None:
    with pytest.raises(LayerError):
        read_index(index)


@FAMILIES
def test_an_index_is_checked_as_well(docker: bool) -> None:
    names = family(docker)
    member = {"mediaType": names.manifest, "digest": BASE.digest, "size": 1}
    document = {"schemaVersion": 2, "mediaType": names.index, "manifests": [member]}

    def parsed(**changes: Any) -> Index:
        found = parse_manifest(json_bytes(document | changes))
        assert isinstance(found, Index)
        return found

    check_index(parsed())
    check_index(parsed(manifests=[member | {"platform": {"os": None}}]))
    check_index(parsed(config=None, Layers=None))
    odd = member | {"platform": {"os": 5}}
    bad_ones: list[dict[str, Any]] = [
        {"manifests": [odd]},
        {"fsLayers": [1]},
        {"Config": {}},
        {"LAYERS": []},
    ]
    for bad in bad_ones:
        with pytest.raises(LayerError, match="the index"):
            check_index(parsed(**bad))
