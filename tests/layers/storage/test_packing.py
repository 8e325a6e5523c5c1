"""Store layers into OCI layers: what goes together, and that most stays when an image changes."""

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from layers.storage.packing import SMALL, Pack, PackedLayer, Packing, pack
from tests.tools.fuzz import examples

LARGE = SMALL * 10


def packed(
    chains: Mapping[str, Sequence[str]],
    cut: str = "",
    small: str = "",
    most: int = 99,
    pack_for: Pack = Pack.UPDATES,
) -> Packing:
    """The packing of images, given as the names of their layers, base first."""
    users: dict[str, set[str]] = {}
    parents: dict[str, str] = {}
    for image, chain in chains.items():
        for parent, layer in zip(["", *chain], chain, strict=False):
            parents[layer] = parent
            users.setdefault(layer, set()).add(image)
    layers = [
        PackedLayer(
            one, parent, one in cut.split(), 1 if one in small.split() else LARGE,
            frozenset(users[one]),
        )
        for one, parent in parents.items()
    ]  # fmt: skip
    return pack(layers, most, pack_for)


def test_each_layer_has_its_own() -> None:
    assert packed({"x": "ab", "y": "ac"}).groups == (("a",), ("b",), ("c",))


def test_small_layers_go_last() -> None:
    assert packed({"x": "abc"}, small="b") == Packing((("a",), ("c",)), ("b",))


def test_a_cut_layer_brings_along_what_it_repeats() -> None:
    assert packed({"x": "abcd"}, cut="c").groups == (("a", "b", "c"), ("d",))
    assert packed({"x": "abcd"}, cut="b d").groups == (("a", "b", "c", "d"),)


def test_what_several_images_share_is_there_once() -> None:
    assert packed({"x": "abc", "y": "abd"}, cut="c d").groups == (("a",), ("b",), ("c",), ("d",))
    assert packed({"x": "abc", "y": "abd"}, cut="b c").groups == (("a", "b"), ("c",), ("d",))


def test_too_many_layers() -> None:
    chains = {"x": "abc", "y": "abd"}
    assert packed(chains, most=4).groups == (("a",), ("b",), ("c",), ("d",))
    assert packed(chains, most=3).groups == (("a", "b"), ("c",), ("d",))


def test_for_a_small_image() -> None:
    chains = {"x": "abcX", "y": "abdY", "z": "az", "other": "op"}
    found = packed(chains, cut="c d", pack_for=Pack.SIZE).groups
    assert found == (("a", "b", "c", "d"), ("X",), ("Y",), ("z",), ("o",), ("p",))


def test_two_of_twelve_images_change() -> None:
    """A base of two layers, and images of a cut layer with another one above."""
    night = {f"image{n}": ["a", "b", f"cut{n}", f"top{n}"] for n in range(12)}
    cut = " ".join(f"cut{n}" for n in range(24))
    before = packed(night, cut)
    changed = {"image3": ["a", "b", "cut12", "top3"], "image7": ["a", "b", "cut7", "new"]}
    after = packed({**night, **changed}, cut)
    new = set(after.groups) - set(before.groups)
    assert new == {("cut12",), ("new",)}
    assert len(before.groups) == 2 + 24


CHAINS = st.dictionaries(
    st.text("xyz", min_size=1), st.lists(st.sampled_from("abcdef"), unique=True), min_size=1
)


@examples(50)
@given(CHAINS, st.sets(st.sampled_from("abcdef")), st.integers(0, 6), st.sampled_from(Pack))
def test_each_layer_is_in_one_place(
    chains: dict[str, list[str]], cut: set[str], most: int, pack_for: Pack
) -> None:
    named = {image: [image + one for one in chain] for image, chain in chains.items()}
    marked = " ".join(image + one for image in named for one in cut)
    found = packed(named, marked, most=most, pack_for=pack_for)
    every = sorted([*found.last, *(one for group in found.groups for one in group)])
    assert every == sorted({one for chain in named.values() for one in chain})
