"""What layers show together, as the kernel's overlayfs would."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.entry import Entry as TarEntry
from layers.entry import Kind, Owner
from layers.tree.builder import LayerTree
from layers.tree.lower import Lower
from layers.tree.translate import settle
from layers.whiteout import quoted
from tests.tools.fuzz import examples


@dataclass
class Made:
    """A directory of a layer, made by hand; a `layers.tree.lower.TreeDirectory`."""

    meta: str
    leaves: Mapping[bytes, str] = field(default_factory=dict)
    directories: Mapping[bytes, "Made"] = field(default_factory=dict)


def test_nearest_layer_decides() -> None:
    lower = Lower.of([Made("top", {b"a": "1"}), Made("base", {b"a": "2", b"b": "3"})])
    assert lower.meta == "top"
    assert (lower.leaf(b"a"), lower.leaf(b"b"), lower.leaf(b"c")) == ("1", "3", None)
    assert lower.names == {b"a", b"b"}


def test_directories_merge() -> None:
    top = Made("", {}, {b"d": Made("top", {b"a": "1"})})
    base = Made("", {}, {b"d": Made("base", {b"b": "2"})})
    below = Lower.of([top, base]).directory(b"d")
    assert below is not None
    assert (below.meta, sorted(below.names)) == ("top", [b"a", b"b"])


def test_whiteout_hides_and_is_not_shown() -> None:
    base = Made("", {b"a": "1"}, {b"d": Made("")})
    lower = Lower.of([Made("", {b".ostree-wh.a": "w", b".ostree-wh.d": "w"}), base])
    assert lower.names == frozenset()
    assert lower.leaf(b"a") is None
    assert lower.directory(b"d") is None


def test_directory_stops_merging_at_a_whiteout_or_a_file() -> None:
    for between in ({b".ostree-wh.d": "w"}, {b"d": "file"}):
        stack = [
            Made("", {}, {b"d": Made("top", {b"new": "1"})}),
            Made("", between),
            Made("", {}, {b"d": Made("base", {b"old": "2"})}),
        ]
        below = Lower.of(stack).directory(b"d")
        assert below is not None
        assert below.names == {b"new"}


def test_file_over_a_directory_hides_it() -> None:
    lower = Lower.of([Made("", {b"d": "file"}), Made("", {}, {b"d": Made("")})])
    assert lower.leaf(b"d") == "file"
    assert lower.directory(b"d") is None


def test_directory_over_a_file_hides_it() -> None:
    lower = Lower.of([Made("", {}, {b"d": Made("top")}), Made("", {b"d": "file"})])
    assert lower.leaf(b"d") is None
    assert lower.directory(b"d") is not None


def test_find_leaf() -> None:
    base = Made("", {b"f": "0"}, {b"d": Made("", {b"a": "1"}, {b"e": Made("", {b"b": "2"})})})
    lower = Lower.of([Made(""), base])
    assert lower.find_leaf((b"f",)) == "0"
    assert lower.find_leaf((b"d", b"a")) == "1"
    assert lower.find_leaf((b"d", b"e", b"b")) == "2"
    for nothing in ((b"d",), (b"d", b"e"), (b"f", b"x"), (b"x", b"y"), ()):
        assert lower.find_leaf(nothing) is None


def test_each_directory_is_merged_once() -> None:
    """A layer with many links into one large directory would else be merged for each."""
    lower = Lower.of([Made("", {}, {b"d": Made("", {b"a": "1"})})])
    assert lower.directory(b"d") is lower.directory(b"d")


NAMES = st.sampled_from([b"a", b"b", b"c", b"d"])


@st.composite
def directories(draw: st.DrawFn, depth: int = 2) -> Made:
    """A directory of a layer, with no name twice."""
    kinds = draw(st.dictionaries(NAMES, st.sampled_from(["leaf", "whiteout", "directory"])))
    leaves = {
        quoted(name) if kind == "whiteout" else name: kind
        for name, kind in kinds.items()
        if kind != "directory"
    }
    below = [name for name, kind in kinds.items() if kind == "directory" and depth]
    return Made("", leaves, {name: draw(directories(depth - 1)) for name in below})


@examples(300)
@given(layers=st.lists(directories(), min_size=1, max_size=5))
def test_each_name_by_itself_is_as_in_the_whole(layers: list[Made]) -> None:
    """Whether a stack is made at once, or layer by layer, with questions in between."""
    grown: Lower | None = None
    for number, layer in enumerate(layers):
        grown = Lower(layer, grown)
        check_alike(grown, Lower.of(layers[number::-1]))


def check_alike(one: Lower, other: Lower) -> None:
    """Each name, asked for by itself of the one, is what the other's mappings have."""
    assert one.names == other.leaves.keys() | other.directories.keys()
    for name in (b"a", b"b", b"c", b"d"):
        below, merged = one.directory(name), other.directories.get(name)
        assert one.leaf(name) == other.leaves.get(name)
        assert one.shows(name) == (name in one.names)
        assert (below is None) == (merged is None)
        if below is not None and merged is not None:
            check_alike(below, merged)


class Counted(dict[bytes, str]):
    """Leaves that count how often they are looked at."""

    looks = 0

    def __contains__(self, name: object) -> bool:
        Counted.looks += 1
        return super().__contains__(name)

    def __iter__(self) -> Iterator[bytes]:
        Counted.looks += len(self)
        return super().__iter__()


@pytest.mark.parametrize("opaque", [False, True])
def test_the_work_for_a_layer_does_not_grow_with_the_layers_below(opaque: bool) -> None:
    """Each layer deletes a file of the one before, or all that is there, as many images do."""
    files, looks = 50, list[int]()
    lower: Lower | None = None
    for number in range(40):
        layer = LayerTree()
        for n in range(files):
            layer.add(TarEntry(b"d/%d-%d" % (number, n), Kind.FILE, Owner(0o644, 0, 0)))
        marker = b".wh..wh..opq" if opaque else b".wh.%d-0" % (number - 1)
        layer.add(TarEntry(b"d/" + marker, Kind.FILE, Owner(0, 0, 0)))
        Counted.looks = 0
        settled = settle(layer, lower).directories[b"d"]
        looks.append(Counted.looks)
        leaves = dict.fromkeys(settled.leaves, "file")
        leaves |= {quoted(name): "whiteout" for name in settled.whiteouts}
        assert len(leaves) == files + (files if opaque else 1) * (number > 0)
        lower = Lower(Made("", {}, {b"d": Made("", Counted(leaves))}), lower)
    assert max(looks) <= 4 * files
    assert looks[-1] <= looks[2]
