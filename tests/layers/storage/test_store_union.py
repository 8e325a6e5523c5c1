"""Two stores' records as those of one: what is kept, what is added, and what is replaced."""

import json
from typing import Any

from layers.digest import Digest
from layers.oci.media_type import Compression
from layers.storage.image_record import StoredImage
from layers.storage.layer_id import layer_ids
from layers.storage.layer_record import StoredLayer
from layers.storage.merge_records import StoreUnion, store_union

Record = dict[str, Any]
BLOB = Digest.of(b"blob")


def stack(*names: str) -> list[StoredLayer]:
    """Layers on top of each other, base first."""
    diff_ids = [Digest.of(name.encode()) for name in names]
    ids = layer_ids(diff_ids)
    return [
        StoredLayer(ids[n], ids[:n][::-1], diff_id, 10240, BLOB, 331, Compression.GZIP, (0,), (0,))
        for n, diff_id in enumerate(diff_ids)
    ]


def image(letter: str, layers: list[StoredLayer], *names: str) -> StoredImage:
    top = layers[-1].id if layers else ""
    return StoredImage(letter * 64, BLOB, names, top, "", {"manifest": b"{}"})


def records(*layers: StoredLayer | Record) -> bytes:
    """layers.json as it is there already."""
    return json.dumps([one if isinstance(one, dict) else one.record() for one in layers]).encode()


def images(*found: StoredImage, **more: Any) -> bytes:
    return json.dumps([one.record() | more for one in found]).encode()


def kept(union: StoreUnion) -> set[str]:
    return {record["id"] for record in json.loads(union.layers)}


def ids(*layers: StoredLayer) -> set[str]:
    return {layer.id for layer in layers}


OLD = stack("base", "old")
FLAT = stack("empty", "flat")


def test_without_a_store_it_is_what_is_added_whatever_the_order() -> None:
    found = [image(letter, OLD, f"example.org/{letter}:1") for letter in "cab"]
    union = store_union(None, None, OLD, found)
    assert json.loads(union.layers) == [layer.record() for layer in OLD]
    assert [record["id"][0] for record in json.loads(union.images)] == ["a", "b", "c"]
    assert union == store_union(b"", b"null\n", reversed(OLD), reversed(found))


def test_an_image_with_other_layers_leaves_those_that_it_had() -> None:
    union = store_union(records(*OLD), images(image("a", OLD)), FLAT, [image("a", FLAT)])
    (record,) = json.loads(union.images)
    assert record["layer"] == FLAT[-1].id
    assert kept(union) == ids(*FLAT)
    assert union.replaced == ids(*OLD)


def test_what_another_image_needs_of_them_stays() -> None:
    sibling = stack("base", "sibling")
    present = images(image("a", OLD), image("b", sibling))
    union = store_union(records(*OLD, sibling[1]), present, FLAT, [image("a", FLAT)])
    assert union.replaced == ids(OLD[1])
    assert kept(union) == ids(*sibling, *FLAT)


def test_what_an_image_that_is_added_needs_of_them_stays() -> None:
    upon = stack("base", "old", "more")
    added = [image("a", FLAT), image("b", upon)]
    union = store_union(records(*OLD), images(image("a", OLD)), [*FLAT, *upon], added)
    assert union.replaced == frozenset()
    assert kept(union) == ids(*upon, *FLAT)


def test_what_a_layer_of_no_image_stands_upon_stays() -> None:
    """A container's, or one that is a copy of the top layer for another user namespace."""
    container = {"id": "c" * 64, "parent": OLD[-1].id}
    present = records(*OLD, container)
    union = store_union(present, images(image("a", OLD)), FLAT, [image("a", FLAT)])
    assert kept(union) == {"c" * 64} | ids(*OLD, *FLAT)
    copy = {"id": "d" * 64, "parent": OLD[0].id}
    mapped = images(image("a", OLD), **{"mapped-layers": ["d" * 64]})
    union = store_union(records(*OLD, copy), mapped, FLAT, [image("a", FLAT)])
    assert kept(union) == {"d" * 64} | ids(OLD[0], *FLAT)


def test_layers_that_no_image_had_before_are_not_touched() -> None:
    stray = stack("stray")
    present = images(image("a", OLD))
    union = store_union(records(*OLD, *stray), present, FLAT, [image("a", FLAT)])
    assert union.replaced == ids(*OLD)
    assert kept(union) == ids(*stray, *FLAT)


def test_layers_that_are_their_own_parents_end_nowhere() -> None:
    circle = [{"id": "e" * 64, "parent": "f" * 64}, {"id": "f" * 64, "parent": "e" * 64}]
    present = json.dumps([image("a", OLD).record() | {"layer": "e" * 64}]).encode()
    union = store_union(records(*circle), present, FLAT, [image("a", FLAT)])
    assert union.replaced == {"e" * 64, "f" * 64}
