"""Paths within a layer."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.errors import LayerError
from layers.path import components, joined, normalized
from tests.tools.fuzz import examples


@pytest.mark.parametrize(
    ("spelled", "path"),
    [
        (b"a", b"a"),
        (b"./a", b"a"),
        (b"/a", b"a"),
        (b"//a///b//", b"a/b"),
        (b"a/./b/.", b"a/b"),
        (b"a/../b", b"b"),
        (b"a/b/../../c", b"c"),
        (b"a/..", b""),
        (b".", b""),
        (b"", b""),
        (b"/", b""),
        (b"./", b""),
        (b"...", b"..."),
        (b"..a/b..", b"..a/b.."),
        (b"caf\xc3\xa9", b"caf\xc3\xa9"),
    ],
)
def test_spellings(spelled: bytes, path: bytes) -> None:
    assert joined(components(spelled)) == path


@examples(500)
@given(
    names=st.lists(st.sampled_from([b"a", b"b.", b".c", b"..", b".", b"", b"d/"]), min_size=1),
    lead=st.sampled_from([b"", b"/", b"./"]),
)
def test_normalized_is_one_spelling_for_each_path(names: list[bytes], lead: bytes) -> None:
    path = lead + b"/".join(names)
    try:
        found = joined(components(path))
    except LayerError:
        return
    assert normalized(path) == found


@pytest.mark.parametrize("path", [b"..", b"../a", b"a/../..", b"/..", b"a/../../b", b"./../a"])
def test_leaving_the_root(path: bytes) -> None:
    with pytest.raises(LayerError, match="leaves the layer's root"):
        components(path)


@pytest.mark.parametrize(
    "name", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"]
)
def test_not_utf8(name: bytes) -> None:
    """Surrogates and overlong forms included: ostree validates strictly."""
    for path in (name, b"a/" + name, name + b"/a"):
        with pytest.raises(LayerError, match="not UTF-8") as caught:
            components(path)
        assert "UTF-8" in caught.value.hint


def test_lengths_of_names() -> None:
    assert components(b"n" * 255) == (b"n" * 255,)
    for path in (b"n" * 256, b"n" * 256 + b"/a"):
        with pytest.raises(LayerError, match="name of 256 bytes; Linux has 255"):
            components(path)


def test_whiteout_of_a_name_of_any_legal_length() -> None:
    """The limit holds for the name that it deletes."""
    for length in (251, 252, 255):
        assert len(components(b".wh." + b"n" * length)[0]) == length + 4
    with pytest.raises(LayerError, match="name of 260 bytes"):
        components(b".wh." + b"n" * 256)


def test_lengths_of_paths() -> None:
    deep = b"a/" * 2047 + b"a"
    assert len(deep) == 4095
    assert len(components(deep)) == 2048
    assert len(components(b"a/" * 2047 + b".wh.a")) == 2048
    assert len(components(b"a/" * 2047 + b".wh..wh..opq")) == 2048
    for longer in (deep + b"a", b"/" + deep, b"a/" * 2000 + b"n" * 200, b"a/" * 2047 + b".wh.aa"):
        with pytest.raises(LayerError, match="Linux has 4095"):
            components(longer)


@examples(500)
@given(path=st.lists(st.sampled_from([b"a", b"b", b".", b"..", b"", b"\xc3\xa9"])).map(b"/".join))
def test_agrees_with_posixpath_or_leaves_the_root(path: bytes) -> None:
    clean = posixpath.normpath(b"x/" + path)
    depth = lowest = 0
    for name in path.split(b"/"):
        depth += {b"..": -1, b".": 0, b"": 0}.get(name, 1)
        lowest = min(lowest, depth)
    if lowest < 0:
        with pytest.raises(LayerError):
            components(path)
    else:
        assert joined((b"x", *components(path))) == clean
