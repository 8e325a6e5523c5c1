"""Causes that a store of ours alone does not bring about; the others: test_check_upgrade.py."""

from layers.storage.holders import Holder
from layers.storage.layer_id import StoreForm, private_id
from layers.storage.mounted import MountedTree, Obstacle, StoreNames, obstacle

STANDARD = "5" * 64
PRIVATE = private_id(STANDARD, StoreForm.QUOTED)
TREES = [MountedTree(PRIVATE, "OLD")]


def names(own: str, link: str) -> StoreNames:
    """A store of one layer."""
    return StoreNames(frozenset({own}), {link: own}, {own: STANDARD})


def test_another_link_stops_the_containers_that_know_links() -> None:
    old, new = names(PRIVATE, "OLD"), names(PRIVATE, "NEW")
    assert obstacle(TREES, Holder.LINKS, old, new) == Obstacle("links", STANDARD)
    assert obstacle(TREES, Holder.IDS, old, new) is None


def test_a_tree_that_the_old_store_does_not_record_is_named_by_its_id() -> None:
    old, new = StoreNames(frozenset(), {}, {}), names("6" * 64, "NEW")
    assert obstacle(TREES, Holder.IDS, old, new) == Obstacle("missing-layer", PRIVATE)


def test_an_image_without_layers_needs_nothing() -> None:
    empty = StoreNames(frozenset(), {}, {})
    assert obstacle([], Holder.IDS, empty, empty) is None
