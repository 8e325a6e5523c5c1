"""A few paths out of an image's layers: whiteouts, replaced directories, hard links."""

from collections.abc import Sequence

import pytest

from layers.entry import Kind
from layers.errors import LayerError
from layers.path import Path, components, joined
from layers.tree.watched import WatchedDirectory, WatchedPaths
from tests.tools.entry import Entry, opaque, whiteout
from tests.tools.tarbuild import tar_bytes

BASE = [
    Entry(b"./etc/", "dir", mode=0o711),
    Entry(b"etc/a", content=b"a"),
    Entry(b"etc/sub", "dir"),
    Entry(b"etc/sub/b", content=b"b"),
    Entry(b"other", content=b"other"),
]


def below_etc(path: Path) -> int | None:
    return 10 if path[:1] == (b"etc",) else None


def watched(*layers: Sequence[Entry]) -> dict[bytes, bytes | None]:
    """The contents by path."""
    paths = WatchedPaths(below_etc)
    for layer in layers:
        tar = tar_bytes(layer)
        paths.add_layer(lambda tar=tar: iter([tar]))  # type: ignore[misc]
    return {joined(path): one.content for path, one in paths.found.items()}


def test_what_is_watched() -> None:
    paths = WatchedPaths(below_etc)
    paths.add_layer(lambda: iter([tar_bytes(BASE)]))
    etc = paths.found[components(b"etc")]
    assert (etc.kind, etc.owner.mode, etc.content) == (Kind.DIRECTORY, 0o711, None)
    assert paths.found.keys() == {components(e.path) for e in BASE[:-1]}


def test_whiteouts() -> None:
    assert watched(BASE, [whiteout(b"etc/sub")]).keys() == {b"etc", b"etc/a"}
    assert watched(BASE, [whiteout(b"etc")]) == {}
    found = watched(BASE, [Entry(b"etc/c", content=b"c"), opaque(b"etc")])
    assert found == {b"etc": None, b"etc/c": b"c"}
    assert watched(BASE, [Entry(b"etc/.wh..wh.plnk/1.2", content=b"x")]) == watched(BASE)
    assert watched(BASE, [Entry(b"etc/sub", content=b"file")])[b"etc/sub"] == b"file"
    assert b"etc/sub/b" not in watched(BASE, [Entry(b"etc/sub", content=b"file")])


def test_hard_links_have_their_targets_content() -> None:
    link = Entry(b"etc/link", "hardlink", link=b"./object")
    assert watched([Entry(b"object", content=b"x"), link]) == {b"etc/link": b"x"}
    replaced = Entry(b"etc/link", content=b"later")
    assert watched([Entry(b"object", content=b"x"), link, replaced]) == {b"etc/link": b"later"}
    assert watched(BASE, [link]).keys() == watched(BASE).keys() | {b"etc/link"}


def test_a_path_that_leaves_the_root() -> None:
    with pytest.raises(LayerError, match="leaves the layer's root"):
        watched([Entry(b"../x", content=b"x")])


def test_contents_are_bounded_one_by_one_and_together() -> None:
    entries = [Entry(b"etc/%d" % n, content=b"x" * 10) for n in range(3)]
    large = [*entries, Entry(b"etc/large", content=b"x" * 11)]
    assert watched(large)[b"etc/large"] is None
    with pytest.raises(LayerError, match="too large together"):
        WatchedPaths(below_etc, 29).add_layer(lambda: iter([tar_bytes(entries)]))


def test_a_directory_of_what_is_watched() -> None:
    paths = WatchedPaths(below_etc)
    paths.add_layer(lambda: iter([tar_bytes([*BASE, Entry(b"etc/link", "symlink", link=b"a")])]))
    root = WatchedDirectory.of(paths.found)
    etc = root.find("etc")
    assert etc is not None
    assert (etc.read("a"), etc.read("none"), [*etc.directories]) == (b"a", None, [b"sub"])
    assert root.find("etc/a") is None
    with pytest.raises(LayerError, match="link is a symlink"):
        etc.read("link")
    with pytest.raises(LayerError, match="a has more than 0 bytes"):
        etc.read("a", 0)
