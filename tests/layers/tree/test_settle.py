"""Closing a layer over those below it; single rules are in test_semantics.py."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.compress.decompress import CHUNK
from layers.entry import Entry as TarEntry
from layers.entry import Kind, Owner
from layers.errors import LayerError
from layers.tree.builder import LayerTree
from layers.tree.lower import Lower
from layers.tree.translate import settle
from tests.tools.differences import clean, is_aufs, is_marker
from tests.tools.entry import Entry, opaque, whiteout
from tests.tools.fuzz import examples
from tests.tools.stack import WHITEOUT, Stack
from tests.tools.strategies import Layers, stacks


class Watched:
    """A lower directory that tells whether anybody looked into it."""

    def __init__(self, below: Mapping[bytes, "Watched"] | None = None) -> None:
        self.meta = "meta"
        self.seen = False
        self._below = below or {}

    @property
    def leaves(self) -> Mapping[bytes, str]:
        self.seen = True
        return {}

    @property
    def directories(self) -> Mapping[bytes, "Watched"]:
        self.seen = True
        return self._below


def test_lower_trees_are_read_only_where_they_matter() -> None:
    """Most of a layer is new files in listed directories: no lower tree is needed for them."""
    deep = Watched()
    middle = Watched({b"deep": deep})
    other = Watched()
    root = Watched({b"listed": middle, b"other": other})
    tree = LayerTree()
    for path in (b"listed", b"listed/deep"):
        tree.add(TarEntry(path, Kind.DIRECTORY, Owner(0o755, 0, 0)))
    tree.add(TarEntry(b"listed/deep/f", Kind.FILE, Owner(0o644, 0, 0)))
    settle(tree, Lower.of([root]))
    assert not any(one.seen for one in (root, middle, deep))
    tree.add(TarEntry(b"listed/.wh.x", Kind.FILE, Owner(0o644, 0, 0)))
    settle(tree, Lower.of([root]))
    assert [one.seen for one in (root, middle, deep, other)] == [True, True, False, False]


def test_base_layer_needs_nothing_below() -> None:
    stack = Stack()
    stack.add([whiteout(b"a"), opaque(b"b"), Entry(b"c/d", content=b"x")])
    assert stack.top().keys() == {b"c", b"c/d"}


@pytest.mark.parametrize("depth", [2000, 2047])
def test_depth(depth: int) -> None:
    """As deep as a path can be; nothing here recurses."""
    path = b"a/" * depth + b"f"
    stack = Stack()
    stack.add([Entry(path, content=b"1")])
    stack.add([opaque(b"."), Entry(path, content=b"2"), Entry(b"h", "hardlink", link=path)])
    stack.add([whiteout(path)])
    assert stack.top()[path] == WHITEOUT
    assert len(stack.merged()) == depth + 1
    with pytest.raises(LayerError, match="Linux has 4095"):
        stack.add([Entry(b"a/" * 2048, "dir")])


def test_many_names_below_a_deep_directory() -> None:
    """The memory for a name must not grow with its depth."""
    top = b"a/" * 1000
    stack = Stack()
    stack.add([Entry(top + b"%d" % n, "dir") for n in range(3000)])
    layer = stack.add([whiteout(top + b"%d/x" % n) for n in range(3000)])
    assert layer.tar
    assert len(layer.tar) > CHUNK
    assert len(stack.merged()) == 4000


@examples(300)
@given(layers=stacks(layers=3), data=st.data())
def test_order_matters_for_nothing_else(layers: Layers, data: st.DataObject) -> None:
    """Where no path comes twice and nothing is a hardlink, any order gives the same tree."""
    one, other = Stack("skip"), Stack("skip")
    for layer in layers:
        once = distinct(layer)
        try:
            one.add(once)
        except LayerError:
            continue
        other.add(data.draw(st.permutations(once)))
        assert one.top() == other.top()
    assert one.merged() == other.merged()


def distinct(layer: list[Entry]) -> list[Entry]:
    """Without links, comments, the root, and second entries of a path; whiteouts may repeat."""
    found, paths = [], set[bytes]()
    for entry in layer:
        path = clean(entry.path)
        if is_marker(entry) or is_aufs(entry):
            found.append(entry)
        elif entry.kind not in ("hardlink", "g") and path and path not in paths:
            found.append(entry)
            paths.add(path)
    # A file with entries below it is refused in one order, and replaced in the other.
    leaves = {clean(entry.path) for entry in found if entry.kind != "dir"}
    return [
        entry
        for entry in found
        if not any(clean(entry.path).startswith(leaf + b"/") for leaf in leaves)
    ]


@examples(300)
@given(layers=stacks(layers=4))
def test_what_is_stored_shows_nothing_twice(layers: Layers) -> None:
    """No whiteout of what is not there, none beside a name of its own: ostree's deploy fails."""
    stack = Stack("skip")
    for layer in layers:
        below = stack.merged()
        try:
            stack.add(layer)
        except LayerError:
            continue
        work = [(b"", stack.layers[-1].tree)]
        while work:
            prefix, tree = work.pop()
            hidden = {n.removeprefix(b".ostree-wh.") for n in tree.leaves if b".ostree-wh." in n}
            assert not hidden & (tree.leaves.keys() | tree.directories.keys())
            assert all(prefix + name in below for name in hidden)
            work += [(prefix + name + b"/", one) for name, one in tree.directories.items()]
