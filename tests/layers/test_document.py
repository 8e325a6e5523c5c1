"""JSON of which no two tools can read two things."""

import json

import pytest

from layers.document import MAX_DOCUMENT_SIZE, array, integer, mapping, parse_document, string
from layers.errors import LayerError


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"a":"\xe9"}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"a":1,"a":2}', "duplicate JSON key 'a'"),
        (b'{"x":{"b":1,"b":1}}', "duplicate JSON key 'b'"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deep"),
        (b'{"a":' + b"1" * 10_000 + b"}", "not JSON"),
        (b" " * MAX_DOCUMENT_SIZE + b"{}", "more than"),
    ],
)
def test_what_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(LayerError, match=says) as caught:
        parse_document(raw, "the thing")
    assert "the thing" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_read() -> None:
    document = {"a": 1, "b": [None, {"c": "é"}]}
    assert parse_document(json.dumps(document).encode(), "x") == document
    assert parse_document(json.dumps(document, indent=2).encode(), "x") == document


def test_typed_values() -> None:
    document = {"s": "x", "n": 5, "l": [1], "m": {"k": 1}, "null": None}
    assert string(document, "s", "x") == "x"
    assert integer(document, "n", "x") == 5
    assert array(document, "l", "x") == [1]
    assert mapping(document, "m", "x") == {"k": 1}
    assert array(document, "null", "x", []) == []
    assert mapping(document, "null", "x", {}) == {}
    assert array(document, "absent", "x", []) == []
    assert string(document, "absent", "x", "default") == "default"


@pytest.mark.parametrize("value", ["5", -1, 2**63, True, None, 1.5, [], {}])
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(LayerError, match="n "):
        integer({"n": value}, "n", "the thing")


def test_wrong_types_and_absent_keys_are_named() -> None:
    with pytest.raises(LayerError, match="the thing: s is not of type str"):
        string({"s": 1}, "s", "the thing")
    with pytest.raises(LayerError, match="the thing: s is missing"):
        string({}, "s", "the thing")
    with pytest.raises(LayerError, match="is not of type list"):
        array({"l": {}}, "l", "the thing")
    with pytest.raises(LayerError, match="is not of type dict"):
        mapping({"m": []}, "m", "the thing")


@pytest.mark.parametrize("key", ["Layers", "LAYERS", "layerS"])
def test_a_key_that_only_go_would_find(key: str) -> None:
    with pytest.raises(LayerError, match="by case alone"):
        array({key: []}, "layers", "the manifest", [])
    with pytest.raises(LayerError, match="by case alone"):
        array({"layers": [], key: [1]}, "layers", "the manifest", [])
