"""The own part of a layer without whiteouts, and the entries that it holds beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from layers.tree.blocked import own_part
from layers.tree.lower import EntryCount, Lower


@dataclass
class Stored:
    """A directory made by hand; a `layers.tree.lower.StoredDirectory`."""

    contents: str
    leaves: Mapping[bytes, str] = field(default_factory=dict)
    directories: Mapping[bytes, "Stored"] = field(default_factory=dict)
    meta: str = "meta"


KEPT = Stored("kept", {b"k": "1"})
BASE = Stored(
    "base",
    {b"a": "1", b"b": "2"},
    {b"same": KEPT, b"gone": Stored("gone", {b"x": "3"}), b"other": Stored("o", {b"y": "4"})},
)


def test_what_differs_is_its_own_and_what_is_missing_is_deleted() -> None:
    new = Stored("new", {b"y": "4", b"z": "5"})
    cut = Stored("cut", {b"b": "6", b"c": "7"}, {b"same": KEPT, b"other": new})
    own = own_part(cut, Lower.of([BASE]))
    assert own.leaves == {b"b": "6", b"c": "7", b".ostree-wh.a": "", b".ostree-wh.gone": ""}
    assert own.directories.keys() == {b"other"}
    assert own.directories[b"other"].leaves == {b"z": "5"}


def test_a_directory_with_another_owner_is_its_own() -> None:
    cut = Stored("cut", BASE.leaves, {**BASE.directories, b"same": Stored("kept", meta="other")})
    own = own_part(cut, Lower.of([BASE]))
    assert own.leaves == {}
    assert own.directories[b"same"].meta == "other"


def test_directories_of_several_layers_are_compared_by_what_they_show() -> None:
    top = Stored("top", {}, {b"same": Stored("more", {b"l": "8"})})
    merged = Stored("merged", {b"k": "1", b"l": "8"})
    cut = Stored("cut", BASE.leaves, {**BASE.directories, b"same": merged})
    own = own_part(cut, Lower.of([top, BASE]))
    assert (own.leaves, own.directories) == ({}, {})


def test_a_new_directory_is_its_own_with_all_that_is_in_it() -> None:
    fresh = Stored("fresh", {b"n": "9"}, {b"deep": Stored("deep", {b"m": "10"})})
    own = own_part(
        Stored("cut", {b"b": "2"}, {b"fresh": fresh}), Lower.of([Stored("l", {b"b": "2"})])
    )
    assert own.leaves == {}
    assert own.directories[b"fresh"].directories[b"deep"].leaves == {b"m": "10"}


def test_entries_are_counted_without_whiteouts() -> None:
    count = EntryCount()
    assert count.of(KEPT) == 1
    assert count.of(BASE) == 2 + 3 + 1 + 1 + 1
    assert (
        count.of(Stored("w", {b".ostree-wh.a": "", b"a": "1"}, {b"twice": KEPT, b"k": KEPT})) == 5
    )


def test_a_deep_tree_takes_no_recursion() -> None:
    deep, below = Stored("0", {b"f": "1"}), Stored("z0", {b"f": "2"})
    for depth in range(3000):
        deep, below = (
            Stored(f"{prefix}{depth + 1}", {}, {b"d": one})
            for prefix, one in (("", deep), ("z", below))
        )
    own, count = own_part(deep, Lower.of([below])), 0
    while own.directories:
        own, count = own.directories[b"d"], count + 1
    assert (count, own.leaves) == (3000, {b"f": "1"})
    assert EntryCount().of(deep) == 3001
