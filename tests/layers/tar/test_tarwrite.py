"""The tar that a tree makes: what Python and our own reader make of it, for any entry."""

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from layers.entry import Entry, Kind, Owner
from layers.tar.writer import END, fits_line, header, padding
from tests.tools.bootc import check_records
from tests.tools.fuzz import examples
from tests.tools.tarread import read_tar

NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=80
).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(lambda names: "/".join(names).encode())
IDS = st.integers(0, 2**32 - 2)
XATTRS = st.dictionaries(
    st.from_regex(r"user\.[a-z]{1,40}", fullmatch=True).map(str.encode),
    st.one_of(st.binary(min_size=1), st.just(b"a\n")),
).map(lambda found: tuple(sorted(found.items())))
OWNERS = st.tuples(st.integers(0, 0o7777), IDS, IDS, XATTRS).map(lambda one: Owner(*one))
ENTRIES = st.one_of(
    st.tuples(PATHS, OWNERS).map(lambda one: Entry(one[0], Kind.DIRECTORY, one[1])),
    st.tuples(PATHS, OWNERS, st.integers(0, 2000)).map(
        lambda one: Entry(one[0], Kind.FILE, one[1], one[2])
    ),
    st.tuples(PATHS, OWNERS, PATHS).map(
        lambda one: Entry(one[0], Kind.SYMLINK, one[1], link=one[2])
    ),
)


def tar(entries: list[Entry], *, by_lines: bool = False) -> bytes:
    """Files are full of `x`."""
    parts = (
        header(one, by_lines=by_lines) + b"x" * one.size + padding(one.size) for one in entries
    )
    return b"".join([*parts, END])


@examples(100)
@given(st.lists(ENTRIES, max_size=4))
def test_python_reads_what_was_written(entries: list[Entry]) -> None:
    data = tar(entries)
    assert len(data) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = archive.getmembers()
        assert [one.name.encode() for one in found] == [entry.path for entry in entries]
        for entry, member in zip(entries, found, strict=True):
            owner = entry.owner
            assert (member.mode, member.uid, member.gid) == (owner.mode, owner.uid, owner.gid)
            assert (member.type, member.size, member.mtime) == (entry.kind.value, entry.size, 0)
            assert member.linkname.encode() == entry.link
            for name, value in owner.xattrs:
                text = member.pax_headers["SCHILY.xattr." + name.decode()]
                assert text.encode("utf-8", "surrogateescape") == value


def test_sizes_and_ids_that_the_header_has_no_room_for() -> None:
    entry = Entry(b"big", Kind.FILE, Owner(0o644, 2**32 - 2, 2097152), 8 << 30)
    with tarfile.open(fileobj=io.BytesIO(header(entry) + bytes(512))) as archive:
        member = archive.next()
    assert member is not None
    assert (member.size, member.uid, member.gid) == (8 << 30, 2**32 - 2, 2097152)


def test_the_length_of_a_record_counts_its_own_digits() -> None:
    for length in range(80, 120):
        entry = Entry(b"f", Kind.FILE, Owner(0o644, 0, 0, ((b"user.a", b"v" * length),)))
        with tarfile.open(fileobj=io.BytesIO(header(entry) + END)) as archive:
            assert archive.getmembers()[0].pax_headers["SCHILY.xattr.user.a"] == "v" * length


def test_an_empty_tar_is_two_blocks() -> None:
    assert bytes(1024) == END
    with tarfile.open(fileobj=io.BytesIO(END)) as archive:
        assert archive.getmembers() == []


@examples(100)
@given(st.lists(ENTRIES, max_size=4))
def test_each_line_is_a_record(entries: list[Entry]) -> None:
    """Our reader passes over the form that libarchive has for an xattr, as Go's does."""
    data = tar(entries, by_lines=True)
    check_records(data)
    for entry, (found, _) in zip(entries, read_tar(data), strict=True):
        kept = tuple(one for one in entry.owner.xattrs if fits_line(*one))
        path = entry.path + b"/" if entry.kind is Kind.DIRECTORY else entry.path
        owner = entry.owner._replace(xattrs=kept)
        assert found == entry._replace(path=path, owner=owner)
        if kept == entry.owner.xattrs and b"\n" not in entry.path + entry.link:
            assert header(entry, by_lines=True) == header(entry)
