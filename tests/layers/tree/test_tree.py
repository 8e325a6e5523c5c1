"""A layer's own tree: what it counts and notes; its rules are in test_semantics.py."""

import pytest

from layers.entry import Entry, Kind, Owner
from layers.errors import LayerError
from layers.limits import DeviceNodes
from layers.tree.builder import LayerTree
from layers.tree.node import Directory, Gap, Leaf, walk

OWNER = Owner(0o644, 0, 0)


def file(path: bytes, uid: int = 0, gid: int = 0) -> Entry:
    return Entry(path, Kind.FILE, Owner(0o644, uid, gid))


def node(path: bytes, kind: Kind = Kind.CHAR) -> Entry:
    return Entry(path, kind, OWNER, device=(1, 3))


def added(tree: LayerTree, entry: Entry) -> Leaf:
    leaf = tree.add(entry)
    assert leaf is not None
    return leaf


@pytest.mark.parametrize("length", [1, 4095])
def test_length_of_a_symlink(length: int) -> None:
    tree = LayerTree()
    tree.add(Entry(b"s", Kind.SYMLINK, OWNER, link=b"t" * length))
    with pytest.raises(LayerError, match="symlink to a path of 4096 bytes"):
        tree.add(Entry(b"s", Kind.SYMLINK, OWNER, link=b"t" * 4096))


def test_owners_are_noted() -> None:
    """podman sizes user namespaces by them."""
    tree = LayerTree()
    for entry in (file(b"a", 1, 2), Entry(b"d", Kind.DIRECTORY, Owner(0o755, 3, 4))):
        tree.add(entry)
    tree.add(Entry(b"h", Kind.HARDLINK, Owner(0o644, 5, 6), link=b"a"))
    assert (tree.uids, tree.gids) == ({1, 3}, {2, 4})


def test_devices_are_counted() -> None:
    tree = LayerTree(DeviceNodes.SKIP)
    for path in (b"dev/null", b"dev/sub/zero", b"elsewhere", b"dev"):
        tree.add(node(path))
    assert (tree.skipped_devices, tree.stray_devices) == (3, 1)
    tree.add(Entry(b"packed", Kind.CHAR, OWNER, device=(0, 0)))
    assert (tree.skipped_devices, tree.stray_devices) == (3, 1)
    assert tree.root.entries[b"packed"] is Gap.WHITEOUT


@pytest.mark.parametrize("kind", [Kind.CHAR, Kind.BLOCK, Kind.FIFO])
@pytest.mark.parametrize("path", [b"dev/x", b"x"])
def test_devices_are_refused_where_asked_to(kind: Kind, path: bytes) -> None:
    with pytest.raises(LayerError, match="ostree cannot hold") as caught:
        LayerTree(DeviceNodes.ERROR).add(node(path, kind))
    assert caught.value.path == path
    assert "--device-nodes=skip" in caught.value.hint


def test_opaque_markers_are_counted() -> None:
    tree = LayerTree()
    for path in (b"a/.wh..wh..opq", b".wh..wh..opq", b"a/.wh.x"):
        tree.add(file(path))
    assert tree.opaque_markers == 2


def test_files_that_lose_their_path_are_marked() -> None:
    tree = LayerTree()
    replaced, inside, kept = (added(tree, file(path)) for path in (b"a", b"d/e/f", b"k"))
    tree.add(file(b"a"))
    tree.add(file(b"d"))
    tree.add(Entry(b"k", Kind.HARDLINK, OWNER, link=b"k"))
    assert [leaf.lost for leaf in (replaced, inside, kept)] == [True, True, False]
    taken = added(tree, file(b"dev/x"))
    tree.add(node(b"dev/x"))
    assert taken.lost


def test_walk_sees_each_directory_once_parents_first() -> None:
    tree = LayerTree()
    for path in (b"a/b/c/f", b"a/d/f", b"e/f"):
        tree.add(file(path))
    found = list(walk(tree.root))
    assert len(found) == len(set(found)) == 6
    for place, directory in enumerate(found):
        below = [one for one in directory.entries.values() if isinstance(one, Directory)]
        assert all(found.index(one) > place for one in below)
