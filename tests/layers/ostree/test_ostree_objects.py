"""Objects' bytes are GLib's own, and those that libostree makes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.repo.libostree import Gio, GLib, OSTree
from layers.entry import Owner
from layers.ostree.objects import (
    DIRECTORY,
    FILE,
    SYMLINK,
    CommitObject,
    Stored,
    commit_bytes,
    content_of,
    dirmeta,
    dirtree,
    read_commit,
    read_dirtree,
)
from tests.tools.fuzz import examples

CHECKSUMS = st.binary(min_size=32, max_size=32).map(bytes.hex)
#: Around where an offset takes one byte more.
LENGTHS = st.integers(1, 300)
NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1),
    st.integers(150, 260).map(lambda length: "n" * length),
).map(str.encode)
XATTRS = st.dictionaries(
    st.integers(1, 300).map(lambda length: b"user." + b"x" * length),
    st.one_of(st.binary(max_size=10), LENGTHS.map(lambda length: b"v" * length)),
    max_size=3,
).map(lambda found: tuple(sorted(found.items())))
IDS = st.integers(0, 2**32 - 2)
OWNERS = st.builds(Owner, st.integers(0, 0o7777), IDS, IDS, XATTRS)
DIRTREES = st.tuples(
    st.dictionaries(NAMES, CHECKSUMS, max_size=20),
    st.dictionaries(NAMES, st.builds(Stored, CHECKSUMS, CHECKSUMS), max_size=20),
)


def data(variant: GLib.Variant) -> bytes:
    return bytes(variant.get_data_as_bytes().get_data())


def xattrs_variant(owner: Owner) -> GLib.Variant:
    """As `a(ayay)`: names end in a NUL, values do not."""
    return GLib.Variant("a(ayay)", [(name + b"\0", value) for name, value in owner.xattrs])


def dirmeta_variant(owner: Owner) -> GLib.Variant:
    """As libostree makes it."""
    info = Gio.FileInfo()
    info.set_file_type(Gio.FileType.DIRECTORY)
    info.set_attribute_uint32("unix::uid", owner.uid)
    info.set_attribute_uint32("unix::gid", owner.gid)
    info.set_attribute_uint32("unix::mode", DIRECTORY | owner.mode)
    return OSTree.create_directory_metadata(info, xattrs_variant(owner))


def swapped(number: int) -> int:
    return int.from_bytes(number.to_bytes(4), "little")


@given(owner=OWNERS, target=st.one_of(st.just(b""), NAMES))
@examples(200)
def test_content(owner: Owner, target: bytes) -> None:
    """Header, xattr and archive header; `swapped`, as GLib's own numbers are the machine's."""
    kind, shown = (SYMLINK, owner._replace(mode=0o777)) if target else (FILE, owner)
    numbers = [GLib.Variant("u", swapped(n)) for n in (shown.uid, shown.gid, kind | shown.mode)]
    rest = [GLib.Variant("u", 0), GLib.Variant("s", target.decode()), xattrs_variant(owner)]
    found = content_of(owner, target)
    header = data(GLib.Variant.new_tuple(*numbers, *rest))
    assert found.header == len(header).to_bytes(4) + bytes(4) + header
    assert found.ostreemeta == data(GLib.Variant.new_tuple(*numbers, xattrs_variant(owner)))
    zheader = data(GLib.Variant.new_tuple(GLib.Variant("t", 0), *numbers, *rest))
    assert found.zheader == len(zheader).to_bytes(4) + bytes(4) + zheader
    assert (found.mode, found.target) == (kind | shown.mode, target)


@pytest.mark.parametrize("length", [65520, 65521, 65522, 65523, 65525, 70000])
def test_large_xattrs(length: int) -> None:
    """Around where an offset takes four bytes."""
    owner = Owner(0o755, 1, 2, ((b"user.a", b"a"), (b"user.b", b"b" * length)))
    assert dirmeta(owner) == data(dirmeta_variant(owner))


@given(owner=OWNERS)
@examples(200)
def test_dirmeta(owner: Owner) -> None:
    assert dirmeta(owner) == data(dirmeta_variant(owner))
    assert dirmeta(owner)[8:12] == (DIRECTORY | owner.mode).to_bytes(4)


def variant_of(files: dict[bytes, str], directories: dict[bytes, Stored]) -> GLib.Variant:
    def raw(checksum: str) -> list[int]:
        return list(bytes.fromhex(checksum))

    content: tuple[Any, Any] = (
        [(name.decode(), raw(files[name])) for name in sorted(files)],
        [(name.decode(), *map(raw, directories[name])) for name in sorted(directories)],
    )
    return GLib.Variant("(a(say)a(sayay))", content)


@given(content=DIRTREES)
@examples(200)
def test_dirtree(content: tuple[dict[bytes, str], dict[bytes, Stored]]) -> None:
    written = dirtree(*content)
    assert written == data(variant_of(*content))
    assert read_dirtree(written) == content


@pytest.mark.parametrize("count", [0, 1, 7, 1800, 2000])
@pytest.mark.parametrize("length", [1, 3, 221, 222, 223])
def test_dirtrees_of_any_size(count: int, length: int) -> None:
    """Offsets of one, two and four bytes, in the whole and in its parts."""
    names = [b"%0*d" % (length, number) for number in range(min(count, 10 ** min(length, 9)))]
    files = dict.fromkeys(names, "ab" * 32)
    directories = dict.fromkeys(names[: count // 2], Stored("cd" * 32, "ef" * 32))
    written = dirtree(files, directories)
    assert written == data(variant_of(files, directories))
    assert read_dirtree(written) == (files, directories)


@given(content=DIRTREES, change=st.data())
@examples(300)
def test_a_damaged_dirtree_is_a_value_error(
    content: tuple[dict[bytes, str], dict[bytes, Stored]], change: st.DataObject
) -> None:
    """And no other; or it is read as something else, as its checksum would tell."""
    damaged = bytearray(dirtree(*content))
    for _ in range(change.draw(st.integers(1, 4))):
        at = change.draw(st.integers(0, len(damaged)))
        damaged[at : at + change.draw(st.integers(0, 3))] = change.draw(st.binary(max_size=3))
    with suppress(ValueError):
        read_dirtree(bytes(damaged))


TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
    LENGTHS.map(lambda length: "t" * length),
)
COMMITS = st.builds(
    CommitObject,
    st.builds(Stored, CHECKSUMS, CHECKSUMS),
    st.dictionaries(TEXTS, TEXTS, max_size=9).map(lambda found: tuple(found.items())),
    TEXTS,
    TEXTS,
    st.integers(0, 2**64 - 1),
    st.one_of(st.just(""), CHECKSUMS),
)


def commit_variant(said: CommitObject, values: dict[str, GLib.Variant]) -> GLib.Variant:
    root = (list(bytes.fromhex(checksum)) for checksum in said.root)
    time = int.from_bytes(said.time.to_bytes(8), "little")
    parent = list(bytes.fromhex(said.parent))
    return GLib.Variant(
        "(a{sv}aya(say)sstayay)", (values, parent, [], said.subject, said.body, time, *root)
    )


@given(said=COMMITS)
@examples(200)
def test_commit(said: CommitObject) -> None:
    values = {key: GLib.Variant("s", value) for key, value in said.metadata}
    written = commit_bytes(said)
    assert written == data(commit_variant(said, values))
    assert read_commit(written) == said


@pytest.mark.parametrize("value", [GLib.Variant("as", ["text"]), GLib.Variant("b", True)])
def test_a_commit_with_other_metadata_is_refused(value: GLib.Variant) -> None:
    said = CommitObject(Stored("0" * 64, "1" * 64), (), "subject")
    with pytest.raises(ValueError, match=r"not a text|does not end"):
        read_commit(data(commit_variant(said, {"key": value})))


@given(said=COMMITS, cut=st.integers(0, 400), junk=st.binary(max_size=9))
@examples(200)
def test_a_damaged_commit_is_refused_or_read_whole(
    said: CommitObject, cut: int, junk: bytes
) -> None:
    damaged = commit_bytes(said)[:cut] + junk
    with suppress(ValueError):
        assert commit_bytes(read_commit(damaged)) == damaged
