"""What no device could pull or deploy is refused; what it can, is not."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.entry import Owner
from layers.errors import LayerError
from layers.limits import DeviceNodes
from layers.ostree import bounds
from layers.ostree.bounds import MAX_METADATA, check_directory, check_whiteout, check_xattrs
from layers.ostree.objects import Stored, dirmeta, dirtree
from layers.tree.builder import LayerTree
from layers.tree.layer_reader import LayerReader
from layers.tree.prewrite import seal
from tests.tools.fuzz import examples
from tests.tools.stack import Stack
from tests.tools.tarbuild import Entry, tar_bytes

CHECKSUM = "0" * 64
LONG = b"n" * 255


def test_a_directory_beyond_what_a_pull_takes() -> None:
    """A file takes 296 bytes at most, a directory 332."""
    check_directory([LONG] * (MAX_METADATA // 296), [])
    check_directory([], [b"short"] * 1_000_000)
    for files, directories in ((MAX_METADATA // 296 + 1, 0), (400_000, 50_000)):
        with pytest.raises(LayerError, match="no pull takes more than 134217728"):
            check_directory([LONG] * files, [LONG] * directories)


NAMES = st.sets(st.binary(min_size=1, max_size=255), max_size=300)


@examples(50)
@given(files=NAMES, directories=NAMES)
def test_the_size_is_never_underestimated(files: set[bytes], directories: set[bytes]) -> None:
    directories -= files
    made = dirtree(
        dict.fromkeys(files, CHECKSUM), dict.fromkeys(directories, Stored(CHECKSUM, CHECKSUM))
    )
    said = sum(len(name) + 41 for name in files) + sum(len(name) + 77 for name in directories)
    assert len(made) <= said + 4


def test_the_directory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its object is made at once, or only when the layer is closed."""
    monkeypatch.setattr(bounds, "MAX_METADATA", 4000)
    parents = [Entry(b"a", "dir"), Entry(b"a/d", "dir")]
    layer = [*parents, *(Entry(b"a/d/%d" % n) for n in range(100))]
    with pytest.raises(LayerError, match="100 entries") as caught:
        seal(tree_of(layer), lambda kind, data: kind + str(len(data)))
    assert caught.value.path == b"a/d"
    stack = Stack()
    stack.add([*parents, Entry(b"a/d/gone")])
    with pytest.raises(LayerError, match="101 entries") as caught:
        stack.add([*layer, Entry(b"a/d/.wh.gone")])
    assert caught.value.path == b"a/d"


def tree_of(entries: list[Entry]) -> LayerTree:
    """The tree of a layer, each file stored."""
    reader = LayerReader(iter([tar_bytes(entries)]), DeviceNodes.AUTO)
    for leaf, _ in reader:
        leaf.checksum = CHECKSUM
    return reader.tree


def test_the_longest_name_that_can_be_deleted() -> None:
    check_whiteout(b"n" * 244)
    with pytest.raises(LayerError, match="name of 245 bytes"):
        check_whiteout(b"n" * 245)


@examples(50)
@given(
    xattrs=st.dictionaries(
        st.text("abc", min_size=1, max_size=40).map(lambda name: b"user." + name.encode()),
        st.integers(1, 4100).map(lambda size: b"v" * size),
        min_size=1,
        max_size=6,
    )
)
def test_ext4_holds_what_is_taken(
    tmp_path_factory: pytest.TempPathFactory, xattrs: dict[bytes, bytes]
) -> None:
    """One by one, as on a device, and as the one xattr of a bare-user repo."""
    listed = tuple(sorted(xattrs.items()))
    try:
        check_xattrs(listed)
    except LayerError:
        return
    path = tmp_path_factory.mktemp("xattrs")
    for name, apart in (("apart", listed), ("together", ((b"user.ostreemeta", whole(listed)),))):
        (path / name).touch()
        for key, value in apart:
            os.setxattr(path / name, key, value)


def whole(xattrs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """A file's metadata as a bare-user repo has it."""
    return dirmeta(Owner(0o644, 0, 0, xattrs))


def test_an_xattr_that_only_fills_the_block(tmp_path: Path) -> None:
    """The bound is not lower than it has to be."""
    largest = next(n for n in range(5000, 0, -1) if taken(n))
    assert largest > 3990
    path = tmp_path / "f"
    path.touch()
    os.setxattr(path, b"user.ostreemeta", whole(((b"user.a", b"v" * largest),)))


def taken(size: int) -> bool:
    """Whether a value of this size is taken."""
    try:
        check_xattrs(((b"user.a", b"v" * size),))
    except LayerError:
        return False
    return True
