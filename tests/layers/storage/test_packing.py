"""Store layers into OCI layers: what goes together, and that most stays when an image changes."""

from collections.abc import Iterator, Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from layers.storage.packing import SMALL, Pack, PackedLayer, Packing, pack
from tests.tools.fuzz import examples

LARGE = SMALL * 10


def packed(
    chains: Mapping[str, Sequence[str]],
    whole: str = "",
    small: str = "",
    most: int = 99,
    parts: str = "",
    pack_for: Pack = Pack.UPDATES,
) -> Packing:
    """The packing of images, given as the names of their layers, base first.

    The layers in `whole` repeat all layers below, those in `parts` a tenth of each.
    """
    users: dict[str, set[str]] = {}
    parents: dict[str, str] = {}
    for image, chain in chains.items():
        for parent, layer in zip(["", *chain], chain, strict=False):
            parents[layer] = parent
            users.setdefault(layer, set()).add(image)
    sizes = {one: 1 if one in small.split() else LARGE for one in parents}
    shares = dict.fromkeys(whole.split(), 1) | dict.fromkeys(parts.split(), 10)
    layers = [
        PackedLayer(
            one,
            parent,
            {below: sizes[below] // shares[one] for below in _below(one, parents) if one in shares},
            sizes[one],
            frozenset(users[one]),
        )
        for one, parent in parents.items()
    ]
    return pack(layers, most, pack_for)


def _below(layer: str, parents: Mapping[str, str]) -> Iterator[str]:
    while layer := parents[layer]:
        yield layer


def test_each_layer_has_its_own() -> None:
    assert packed({"x": "ab", "y": "ac"}).groups == (("a",), ("b",), ("c",))


def test_small_layers_go_last() -> None:
    assert packed({"x": "abc"}, small="b") == Packing((("a",), ("c",)), ("b",))


def test_a_layer_brings_along_what_it_repeats() -> None:
    assert packed({"x": "abcd"}, whole="c").groups == (("a", "b", "c"), ("d",))
    assert packed({"x": "abcd"}, whole="b d").groups == (("a", "b", "c", "d"),)


def test_a_layer_that_repeats_little_goes_alone() -> None:
    assert packed({"x": "abcd"}, parts="c").groups == (("a",), ("b",), ("c",), ("d",))
    assert packed({"x": "abcd"}, whole="b", parts="d").groups == (("a", "b"), ("c",), ("d",))
    found = packed({"x": "abc"}, parts="c", pack_for=Pack.SIZE).groups
    assert found == (("a", "b", "c"),)


def test_what_several_images_share_is_there_once() -> None:
    assert packed({"x": "abc", "y": "abd"}, whole="c d").groups == (("a",), ("b",), ("c",), ("d",))
    assert packed({"x": "abc", "y": "abd"}, whole="b c").groups == (("a", "b"), ("c",), ("d",))


def test_too_many_layers() -> None:
    chains = {"x": "abc", "y": "abd"}
    assert packed(chains, most=4).groups == (("a",), ("b",), ("c",), ("d",))
    assert packed(chains, most=3).groups == (("a", "b"), ("c",), ("d",))


def test_for_a_small_image() -> None:
    chains = {"x": "abcX", "y": "abdY", "z": "az", "other": "op"}
    found = packed(chains, whole="c d", pack_for=Pack.SIZE).groups
    assert found == (("a", "b", "c", "d"), ("X",), ("Y",), ("z",), ("o",), ("p",))


def test_two_of_twelve_images_change() -> None:
    """A base of two layers, and images of a layer that repeats it with another one above."""
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
