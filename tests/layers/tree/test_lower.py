"""What layers show together, as the kernel's overlayfs would."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from layers.tree.lower import Lower


@dataclass
class Made:
    """A directory of a layer, made by hand; a `layers.tree.lower.TreeDirectory`."""

    meta: str
    leaves: Mapping[bytes, str] = field(default_factory=dict)
    directories: Mapping[bytes, "Made"] = field(default_factory=dict)


def test_nearest_layer_decides() -> None:
    lower = Lower([Made("top", {b"a": "1"}), Made("base", {b"a": "2", b"b": "3"})])
    assert lower.meta == "top"
    assert (lower.leaf(b"a"), lower.leaf(b"b"), lower.leaf(b"c")) == ("1", "3", None)
    assert lower.names == {b"a", b"b"}


def test_directories_merge() -> None:
    top = Made("", {}, {b"d": Made("top", {b"a": "1"})})
    base = Made("", {}, {b"d": Made("base", {b"b": "2"})})
    below = Lower([top, base]).directory(b"d")
    assert below is not None
    assert (below.meta, sorted(below.names)) == ("top", [b"a", b"b"])


def test_whiteout_hides_and_is_not_shown() -> None:
    base = Made("", {b"a": "1"}, {b"d": Made("")})
    lower = Lower([Made("", {b".ostree-wh.a": "w", b".ostree-wh.d": "w"}), base])
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
        below = Lower(stack).directory(b"d")
        assert below is not None
        assert below.names == {b"new"}


def test_file_over_a_directory_hides_it() -> None:
    lower = Lower([Made("", {b"d": "file"}), Made("", {}, {b"d": Made("")})])
    assert lower.leaf(b"d") == "file"
    assert lower.directory(b"d") is None


def test_directory_over_a_file_hides_it() -> None:
    lower = Lower([Made("", {}, {b"d": Made("top")}), Made("", {b"d": "file"})])
    assert lower.leaf(b"d") is None
    assert lower.directory(b"d") is not None


def test_find_leaf() -> None:
    base = Made("", {b"f": "0"}, {b"d": Made("", {b"a": "1"}, {b"e": Made("", {b"b": "2"})})})
    lower = Lower([Made(""), base])
    assert lower.find_leaf((b"f",)) == "0"
    assert lower.find_leaf((b"d", b"a")) == "1"
    assert lower.find_leaf((b"d", b"e", b"b")) == "2"
    for nothing in ((b"d",), (b"d", b"e"), (b"f", b"x"), (b"x", b"y"), ()):
        assert lower.find_leaf(nothing) is None


def test_each_directory_is_merged_once() -> None:
    """A layer with many links into one large directory would else be merged for each."""
    lower = Lower([Made("", {}, {b"d": Made("", {b"a": "1"})})])
    assert lower.directory(b"d") is lower.directory(b"d")
