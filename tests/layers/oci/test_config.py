"""Image configs: whether they fit their manifest, and their dates."""

import json
from typing import Any

import pytest

from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.config import ImageConfig, parse_config
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
        ({"created": "now"}, "not a time"),
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
