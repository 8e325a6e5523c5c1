"""The records of a containers-storage store, as pure values."""

import base64

import pytest

from layers.digest import Digest
from layers.oci.media_type import Compression
from layers.storage.image_record import StoredImage, big_data_file
from layers.storage.layer_id import layer_ids, link_name
from layers.storage.layer_record import StoredLayer
from layers.storage.mounted import MountedTree, blocker_of
from tests.tools import expected

DIFF_IDS = tuple(Digest.of(b"%d" % n) for n in range(3))
IDS = layer_ids(DIFF_IDS)


def layer(number: int, compression: Compression = Compression.GZIP) -> StoredLayer:
    parents = tuple(reversed(IDS[:number]))
    blob = Digest.of(b"blob")
    return StoredLayer(
        IDS[number],
        parents,
        DIFF_IDS[number],
        10240,
        blob,
        331,
        compression,
        (0, 33),
        (0,),
        tuple(MountedTree(one, link_name(one)) for one in (IDS[number], *parents)),
    )


def image(**changes: object) -> StoredImage:
    config = Digest.of(b"config")
    data = {"manifest": b"{}", f"manifest-{Digest.of(b'{}')}": b"{}", str(config): b"config"}
    values: dict[str, object] = {
        "id": config.hex,
        "digest": Digest.of(b"{}"),
        "names": ("example.org/a:1", "example.org/b:1"),
        "top_layer": IDS[2],
        "created": "2024-05-06T07:08:09Z",
        "big_data": data,
    }
    return StoredImage(**(values | changes))  # type: ignore[arg-type]  # the values fit


def test_a_layers_record() -> None:
    assert layer(1).record() == {
        "id": IDS[1],
        "parent": IDS[0],
        "compressed-diff-digest": str(Digest.of(b"blob")),
        "compressed-size": 331,
        "diff-digest": str(DIFF_IDS[1]),
        "diff-size": 10240,
        "compression": 2,
        "uidset": [0, 33],
        "gidset": [0],
    }


def test_a_base_has_no_parent_and_a_plain_blob_no_compression() -> None:
    record = layer(0, Compression.NONE).record()
    assert not {"parent", "compression"} & record.keys()
    assert layer(0, Compression.ZSTD).record()["compression"] == 4


def test_lower_files_name_the_layers_below_by_link_and_by_id() -> None:
    links = f"l/{link_name(IDS[1])}:l/{link_name(IDS[0])}"
    assert layer(2).lower_files() == {
        "lower": links.encode(),
        "lower-layers": f"{IDS[1]}:{IDS[0]}".encode(),
    }
    assert layer(0).lower_files() == {}
    assert expected.layer_ids(tuple(map(str, DIFF_IDS))) == list(IDS)


def test_a_blocker_is_found_by_its_link_as_by_its_id() -> None:
    """containers-storage from 1.63 on takes the id out of the link's target."""
    blocker = blocker_of(IDS[0])
    assert blocker.target == f"../{blocker.id}/diff"
    assert blocker.link == link_name(blocker.id)
    assert len({one.id for one in map(blocker_of, IDS)} | {*IDS}) == 6


def test_an_images_record() -> None:
    record = image().record()
    data = image().big_data
    assert record == {
        "id": Digest.of(b"config").hex,
        "digest": str(Digest.of(b"{}")),
        "names": ["example.org/a:1", "example.org/b:1"],
        "layer": IDS[2],
        "metadata": "{}",
        "big-data-names": sorted(data),
        "big-data-sizes": {key: len(value) for key, value in data.items()},
        "big-data-digests": {key: str(Digest.of(value)) for key, value in data.items()},
        "created": "2024-05-06T07:08:09Z",
    }


def test_an_image_without_layers_or_date() -> None:
    record = image(top_layer="", created="").record()
    assert "layer" not in record
    assert record["created"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("key", ["manifest", "a.b", "123", ""])
def test_plain_keys_are_their_files_names(key: str) -> None:
    assert big_data_file(key) == key


@pytest.mark.parametrize("key", ["sha256:abc", "manifest-sha256:abc", "A", "a_b", "a\n", "é"])
def test_others_are_base64(key: str) -> None:
    name = big_data_file(key)
    assert name.startswith("=")
    assert base64.b64decode(name[1:]).decode() == key


def test_files() -> None:
    files = image().files()
    assert files["manifest"] == b"{}"
    assert len(files) == 3
    assert all("/" not in name for name in files)
