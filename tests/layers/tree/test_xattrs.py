"""Extended attributes: what is stored can be set, on a real file system."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.entry import Kind, Owner
from layers.errors import LayerError
from layers.tree.xattrs import is_settable, kept
from tests.tools.fuzz import examples

OWNER, USER, GROUP, GROUPS, MASK, OTHER = 1, 2, 4, 8, 16, 32
NOBODY = 2**32 - 1


def acl(*entries: tuple[int, int, int], version: int = 2) -> bytes:
    """(tag, permissions, id) each."""
    body = b"".join(
        tag.to_bytes(2, "little") + permissions.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, permissions, who in entries
    )
    return version.to_bytes(4, "little") + body


PLAIN = acl((OWNER, 6, NOBODY), (GROUP, 4, NOBODY), (OTHER, 4, NOBODY))
NAMED = acl(
    (OWNER, 6, NOBODY), (USER, 6, 1000), (GROUP, 4, NOBODY), (MASK, 6, NOBODY), (OTHER, 4, NOBODY)
)
ACCESS, DEFAULT = b"system.posix_acl_access", b"system.posix_acl_default"
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
VALUES = [
    (b"user.a", b"v"),
    (b"user.\xff", b"\x00\xff"),
    (b"user.", b"v"),
    (b"user", b"v"),
    (b"user.overlay.opaque", b"y"),
    (b"trusted.a", b"v"),
    (b"trusted.", b"v"),
    (b"trusted.overlay.opaque", b"y"),
    (b"security.a", b"v"),
    (b"security.", b"v"),
    (b"security.selinux", b"a:b:c:s0\x00"),
    (b"security.capability", CAPABILITY),
    (b"security.capability", CAPABILITY[:19]),
    (b"security.capability", b"\x01\x00\x00\x01" + bytes(8)),
    (b"security.capability", b""),
    (b"system.a", b"v"),
    (b"other.a", b"v"),
    (ACCESS, PLAIN),
    (ACCESS, NAMED),
    (ACCESS, b"\x02\x00\x00\x00"),
    (ACCESS, NAMED[:-1]),
    (DEFAULT, NAMED),
    (b"system.posix_acl_accessx", NAMED),
    (b"user.empty", b""),
]


@pytest.mark.root
@pytest.mark.parametrize(
    "kind", [Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK], ids=lambda kind: kind.name
)
@pytest.mark.parametrize(("name", "value"), VALUES)
def test_what_is_kept_can_be_set(tmp_path: Path, kind: Kind, name: bytes, value: bytes) -> None:
    """Else ostree would store it, and fail at the deploy."""
    try:
        xattrs = kept(Owner(0o644, 0, 0, ((name, value),)), kind).xattrs
    except LayerError:
        xattrs = ()
    node = tmp_path / "node"
    if kind is Kind.FILE:
        node.touch()
    elif kind is Kind.DIRECTORY:
        node.mkdir()
    else:
        node.symlink_to("x")
    for kept_name, kept_value in xattrs:
        os.setxattr(node, kept_name, kept_value, follow_symlinks=False)
        assert os.getxattr(node, kept_name, follow_symlinks=False) == kept_value


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 4, 8, 16, 32, 0, 256]),
        st.sampled_from([0, 4, 7, 8]),
        st.sampled_from([0, 1000, NOBODY]),
    ),
    max_size=6,
)


@st.composite
def nearly_right(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Entries in their order; mostly all that there have to be."""
    counts = [(1, 1), (2, 2), (4, 1), (8, 2), (16, 1), (32, 1)]
    tags = [tag for tag, most in counts for _ in range(draw(st.integers(0, most)))]
    tags = draw(st.sampled_from([tags, sorted({*tags, 1, 4, 32})]))
    wrong = draw(st.sampled_from(["nothing", "permissions", "id"]))
    permissions = st.sampled_from([0, 7, 8] if wrong == "permissions" else [0, 4, 6, 7])
    ids = st.sampled_from([1000, NOBODY] if wrong == "id" else [0, 7, 1000])
    return [(tag, draw(permissions), draw(ids)) for tag in tags]


@pytest.mark.root
@examples(600)
@given(
    tags=ENTRIES | nearly_right() | nearly_right() | nearly_right(),
    version=st.sampled_from([2, 2, 2, 1]),
    cut=st.integers(0, 1),
)
def test_acls_are_judged_as_the_kernel_does(
    tmp_path_factory: pytest.TempPathFactory,
    tags: list[tuple[int, int, int]],
    version: int,
    cut: int,
) -> None:
    value = acl(*tags, version=version)
    value = value[: len(value) - cut]
    node = tmp_path_factory.getbasetemp() / "acl"
    node.touch()
    try:
        os.setxattr(node, ACCESS, value)
        settable = bool(tags)  # without an entry it takes back the ACL
    except OSError:
        settable = False
    assert is_settable(value) == settable


def test_capability_that_cannot_be_set_is_refused() -> None:
    with pytest.raises(LayerError, match=r"security\.capability of 19 bytes"):
        kept(Owner(0o755, 0, 0, ((b"security.capability", CAPABILITY[:19]),)), Kind.FILE)
