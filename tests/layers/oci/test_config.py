"""Image configs: whether they fit their manifest, and their dates."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.config import ImageConfig, parse_config, parse_time
from layers.oci.manifest import Descriptor, Manifest
from layers.storage.layer_id import layer_ids, link_name
from tests.tools import expected

DIFF_IDS = [str(Digest.of(b"%d" % n)) for n in range(3)]


def parsed(*, layers: int = 3, **changes: Any) -> ImageConfig:
    """The config with these changes, `...` taking a key away, below a manifest of `layers`."""
    plain = {
        "created": "2024-05-06T07:08:09.123456789Z",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": DIFF_IDS},
    }
    document = {key: value for key, value in (plain | changes).items() if value is not ...}
    raw = json.dumps(document).encode()
    blobs = tuple(Descriptor("x", Digest.of(b"%d" % n), 1) for n in range(layers))
    config = Descriptor("y", Digest.of(raw), len(raw))
    return parse_config(raw, Manifest(b"", Digest.of(b""), "z", config, blobs))


def test_a_config() -> None:
    config = parsed(variant="v8")
    assert [str(diff_id) for diff_id in config.diff_ids] == DIFF_IDS
    assert (config.architecture, config.os, config.variant) == ("amd64", "linux", "v8")
    assert config.created == "2024-05-06T07:08:09.123456789Z"
    assert config.created_seconds == 1714979289


@pytest.mark.parametrize("created", [..., None, ""])
def test_a_config_without_a_date(created: Any) -> None:
    assert (parsed(created=created).created, parsed(created=created).created_seconds) == ("", 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"layers": 2}, "3 diff_ids.* 2 layers"),
        ({"rootfs": ...}, "rootfs"),
        ({"rootfs": {"type": "other", "diff_ids": DIFF_IDS}}, "layers"),
        ({"rootfs": {"type": "layers", "diff_ids": ["x"] * 3}}, "digest"),
        ({"rootfs": {"type": "layers", "diff_ids": None}}, "0 diff_ids"),
        ({"rootfs": {"type": "layers", "Diff_ids": DIFF_IDS}}, "by case alone"),
        ({"created": "now"}, "RFC 3339"),
        ({"created": 5}, "created"),
        ({"architecture": []}, "architecture"),
    ],
)
def test_what_is_refused_names_the_config(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(LayerError, match=says) as caught:
        parsed(**changes)
    assert caught.value.digest.startswith("sha256:")


def test_a_config_of_another_digest() -> None:
    blob = Descriptor("y", Digest.of(b"{}"), 2)
    with pytest.raises(LayerError, match="the config has digest"):
        parse_config(b"{ }", Manifest(b"", Digest.of(b""), "z", blob, ()))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09.999999999Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06t07:08:09z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09+02:00", datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)),
        ("2024-05-06T23:59:60Z", datetime(2024, 5, 6, 23, 59, 59, tzinfo=UTC)),
        ("1970-01-01T00:00:01Z", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert parse_time(text) == int(moment.timestamp())


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"])
def test_before_1970_is_1970(text: str) -> None:
    assert parse_time(text) == 0


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-06",
        "2024-05-06T07:08:09",
        "2024-13-06T07:08:09Z",
        "2024-02-30T07:08:09Z",
        "2024-05-06T24:00:00Z",
        "2024-05-06T07:08:09+25:00",
        "2024-05-06T07:08:09Z\n",
        "٢٠٢٤-05-06T07:08:09Z",
        "9999-12-31T23:59:59-23:59x",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(LayerError):
        parse_time(text)


def test_layer_ids_are_containers_storages() -> None:
    """Against our tests' own computation of the rule; podman itself is asked in test_podman."""
    found = layer_ids(Digest.parse(diff_id) for diff_id in DIFF_IDS)
    assert list(found) == expected.layer_ids(tuple(DIFF_IDS))
    assert layer_ids([]) == ()


def test_link_names() -> None:
    names = {link_name(layer_id) for layer_id in layer_ids(map(Digest.parse, DIFF_IDS))}
    assert len(names) == 3
    assert all(
        len(name) == 26 and set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for name in names
    )
    # A store that devices have must not change with a version of ours.
    assert link_name("a" * 64) == "ZKWOOZD7SJZIWLMCF54GAAW7OK"
