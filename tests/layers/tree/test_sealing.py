"""Directories that are written before the layers below are looked at: the same as afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

import pytest
from hypothesis import event, given

from layers.entry import Kind, Owner
from layers.errors import LayerError
from layers.limits import DeviceNodes
from layers.ostree.objects import Stored, dirmeta, dirtree, read_dirtree
from layers.tree.layer_reader import LayerReader
from layers.tree.lower import Lower
from layers.tree.prewrite import seal
from layers.tree.translate import Settled, settle
from layers.whiteout import quoted
from tests.tools.entry import Entry, opaque, whiteout
from tests.tools.fuzz import examples
from tests.tools.strategies import Layers, stacks
from tests.tools.tarbuild import tar_bytes

WHITEOUT = sha256(b"whiteout").hexdigest()


@dataclass
class Objects:
    """Directories' objects by checksum; `sealed` are those that nothing had to be known for."""

    data: dict[str, bytes] = field(default_factory=dict)
    sealed: list[str] = field(default_factory=list)

    def store(self, kind: str, data: bytes) -> str:
        checksum = sha256(data).hexdigest()
        self.data[checksum] = data
        if kind == "dirtree":
            self.sealed.append(checksum)
        return checksum

    def written(self, settled: Settled) -> Stored:
        """The whole tree, as libostree would write it."""
        files = {name: leaf.checksum for name, leaf in settled.leaves.items()}
        files |= {quoted(name): WHITEOUT for name in settled.whiteouts}
        below = {name: self.written(one) for name, one in settled.directories.items()}
        contents = dirtree(files, below | settled.stored)
        meta = settled.meta
        if isinstance(meta, Owner):
            data = dirmeta(meta)
            meta = sha256(data).hexdigest()
            self.data[meta] = data
        checksum = sha256(contents).hexdigest()
        self.data[checksum] = contents
        return Stored(checksum, meta)


@dataclass(frozen=True)
class Tree:
    """A `layers.tree.lower.TreeDirectory`."""

    objects: Objects
    stored: Stored

    @property
    def meta(self) -> str:
        return self.stored.meta

    @cached_property
    def _content(self) -> tuple[Mapping[bytes, str], Mapping[bytes, Stored]]:
        return read_dirtree(self.objects.data[self.stored.contents])

    @property
    def leaves(self) -> Mapping[bytes, str]:
        return self._content[0]

    @property
    def directories(self) -> Mapping[bytes, Tree]:
        return {name: Tree(self.objects, one) for name, one in self._content[1].items()}


class World:
    """Layers over each other; sealed before they are settled, or not."""

    def __init__(self, *, sealing: bool) -> None:
        self.objects = Objects()
        self.trees: list[Tree] = []
        self._sealing = sealing

    def add(self, layer: Sequence[Entry]) -> Stored | str:
        """Its root; or what is wrong with it."""
        try:
            stored = self.objects.written(self._settled(layer))
        except LayerError as error:
            return str(error)
        self.trees.append(Tree(self.objects, stored))
        return stored

    def _settled(self, layer: Sequence[Entry]) -> Settled:
        reader = LayerReader(iter([tar_bytes(layer)]), DeviceNodes.SKIP)
        for leaf, entry in reader:
            content = reader.whole() if entry.kind is Kind.FILE else entry.link
            leaf.checksum = sha256(repr((entry.kind, entry.owner, content)).encode()).hexdigest()
        if self._sealing:
            seal(reader.tree, self.objects.store)
        return settle(reader.tree, Lower.of(self.trees[::-1]) if self.trees else None)


@given(layers=stacks())
@examples(300)
def test_sealing_makes_no_difference(layers: Layers) -> None:
    plain, sealing = World(sealing=False), World(sealing=True)
    for layer in layers:
        assert sealing.add(layer) == plain.add(layer)
    event(f"sealed: {bool(sealing.objects.sealed)}")


BELOW = [
    Entry(b"d", "dir"), Entry(b"d/e", "dir"), Entry(b"d/e/old", content=b"old"),
    Entry(b"f", content=b"f"),
]  # fmt: skip
LISTED = [Entry(b"d", "dir"), Entry(b"d/e", "dir"), Entry(b"d/e/new", content=b"new")]


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (LISTED, 2),
        ([Entry(b"./", "dir", mode=0o700), *LISTED], 2),
        (LISTED[1:], 1),
        (LISTED[2:], 0),
        ([*LISTED, whiteout(b"d/e/old")], 0),
        ([*LISTED, whiteout(b"d/old")], 1),
        ([*LISTED, whiteout(b"d/e")], 0),
        ([*LISTED, whiteout(b"d")], 0),
        ([*LISTED, opaque(b"d")], 0),
        ([*LISTED, opaque(b"d/e")], 0),
        ([*LISTED, opaque(b"")], 0),
        ([*LISTED, whiteout(b"other")], 2),
        ([*LISTED, Entry(b"d/e/link", "hardlink", link=b"f")], 0),
        ([*LISTED, Entry(b"d/link", "hardlink", link=b"f")], 1),
        ([*LISTED, Entry(b"d/e/link", "hardlink", link=b"d/e/new")], 2),
        ([*LISTED, Entry(b"d/e/tty", "char", device=(5, 1))], 0),
        ([Entry(b"d", content=b""), *LISTED], 0),
    ],
)  # fmt: skip
def test_what_may_be_sealed(layer: list[Entry], count: int) -> None:
    """Neither what deletes something, nor what is below such a thing, nor what is not listed, nor
    what holds a link to something that is not there yet; and what is above only by the last two."""
    plain, sealing = World(sealing=False), World(sealing=True)
    for world in (plain, sealing):
        world.add(BELOW)
        world.objects.sealed.clear()
    assert sealing.add(layer) == plain.add(layer)
    assert len(sealing.objects.sealed) == count
