"""The tar itself: what is complete, what is refused, and that nothing is passed over."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.entry import Kind
from layers.errors import LayerError
from layers.tar.reader import MAX_EXTENDED, TarReader
from tests.tools.entry import Entry, Format
from tests.tools.fuzz import examples
from tests.tools.strategies import stacks
from tests.tools.tarbuild import pax_global, tar_bytes, tar_member
from tests.tools.tarread import Listener, paths, pieces, read_tar

BLOCK = 512
A = Entry(b"a", content=b"1")
B = Entry(b"b", content=b"2" * 700)
BODY = tar_bytes([A, B], trailer=False)
END = bytes(2 * BLOCK)


def refused(data: bytes, message: str, *, size: int = 1 << 16) -> LayerError:
    """The error that reading it ends in."""
    with pytest.raises(LayerError, match=message) as caught:
        read_tar(data, size)
    return caught.value


# -- dialects --


@pytest.mark.parametrize("form", ["pax", "gnu", "ustar"])
def test_dialects_say_the_same(form: Format) -> None:
    entries = [
        Entry(b"d", "dir", mode=0o2755, uid=3, gid=4, format=form),
        Entry(b"d/f", mode=0o4711, uid=5, gid=6, content=b"text", format=form),
        Entry(b"d/h", "hardlink", link=b"d/f", format=form),
        Entry(b"d/s", "symlink", link=b"../nowhere", format=form),
        Entry(b"d/c", "char", device=(1, 3), format=form),
        Entry(b"d/b", "block", device=(8, 1), format=form),
        Entry(b"d/p", "fifo", format=form),
    ]
    found = read_tar(tar_bytes(entries))
    assert [entry.kind for entry, _ in found] == [
        Kind.DIRECTORY, Kind.FILE, Kind.HARDLINK, Kind.SYMLINK, Kind.CHAR, Kind.BLOCK, Kind.FIFO,
    ]  # fmt: skip
    directory, (file, content), link, symlink, char, block, _ = found
    assert directory[0].path == b"d/"
    assert (file.owner.mode, file.owner.uid, file.owner.gid) == (0o4711, 5, 6)
    assert (file.size, content) == (4, b"text")
    assert (link[0].link, symlink[0].link) == (b"d/f", b"../nowhere")
    assert (char[0].device, block[0].device) == ((1, 3), (8, 1))


def test_v7_has_neither_magic_nor_type() -> None:
    raw = {"magic": bytes(8), "typeflag": b"\0"}
    found = read_tar(tar_bytes([replace(A, raw=raw), Entry(b"d/", raw=raw)]))
    assert [(entry.path, entry.kind) for entry, _ in found] == [
        (b"a", Kind.FILE),
        (b"d/", Kind.DIRECTORY),
    ]


@pytest.mark.parametrize("form", ["pax", "gnu"])
@pytest.mark.parametrize("length", [1, 99, 100, 101, 155, 256, 1000, 4000])
def test_names_and_links_of_any_length(form: Format, length: int) -> None:
    name, link = b"n" * length, b"l" * length
    ((entry, _),) = read_tar(tar_bytes([Entry(name, "symlink", link=link, format=form)]))
    assert (entry.path, entry.link) == (name, link)


def test_ustar_names_in_two_parts() -> None:
    path = b"/".join([b"p" * 90, b"n" * 90])
    assert paths(tar_bytes([Entry(path, format="ustar")])) == [path]


def test_star_has_less_room_for_the_first_part() -> None:
    block = bytearray(tar_member(Entry(b"name", format="ustar")))
    block[345:349] = b"part"
    block[345 + 131 : 345 + 155] = b"00000000001 00000000001 "  # its times stand there
    block[508:512] = b"tar\0"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    assert paths(bytes(block) + END) == [b"part/name"]


def test_prefix_by_mistake_as_old_go_wrote_it() -> None:
    """Go before 1.8 put a prefix where GNU has two times; Go reads it to this day."""
    made = Entry(b"name", format="gnu", raw={"prefix": b"some/long/path"})
    assert paths(tar_bytes([made])) == [b"some/long/path/name"]
    times = Entry(b"name", format="gnu", raw={"prefix": b"14770714010\x0014770714010\x00"})
    assert paths(tar_bytes([times])) == [b"name"]


@pytest.mark.parametrize("times", [b"\xff\xfe/x", b"\xe9" * 24, b"\xe914770714010\0 x"])
def test_gnu_times_that_are_none_are_not_looked_at(times: bytes) -> None:
    """Go takes what is no ASCII for no prefix either, and GNU tar reads neither."""
    odd = Entry(b"name", format="gnu", raw={"prefix": times})
    assert paths(tar_bytes([odd])) == [b"name"]


@pytest.mark.parametrize("style", ["pax", "gnu", "base256"])
@pytest.mark.parametrize("number", [0, 0o7777777, 0o10000000, 65536, 2**31, 2**32 - 2])
def test_numbers_of_any_size(style: str, number: int) -> None:
    made = Entry(
        b"a",
        uid=number,
        gid=number,
        format="gnu" if style == "gnu" else "pax",
        base256=style == "base256",
    )
    ((entry, _),) = read_tar(tar_bytes([made]))
    assert (entry.owner.uid, entry.owner.gid) == (number, number)


# -- the end --


def test_end_of_two_zero_blocks_and_more_zeros() -> None:
    assert paths(BODY + END) == [b"a", b"b"]
    assert paths(BODY + END + bytes(20 * BLOCK)) == [b"a", b"b"]
    assert paths(BODY + END + bytes(7)) == [b"a", b"b"]


@pytest.mark.parametrize("ending", [b"", bytes(BLOCK)], ids=["none", "half"])
def test_end_marker_missing(ending: bytes) -> None:
    """All container tools read on to the end of the file, as Go does."""
    assert paths(BODY + ending) == [b"a", b"b"]


@pytest.mark.parametrize("ending", [bytes(1), bytes(BLOCK - 1), bytes(2 * BLOCK - 1)])
def test_end_marker_cut(ending: bytes) -> None:
    refused(BODY + ending, "cut short: it ends within a block")


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1 << 16])
def test_cut_anywhere(size: int) -> None:
    """Where an entry ends, the tar may end; anywhere else it was cut short."""
    whole = BODY + END
    ends = {0: 0, len(tar_member(A)): 1, len(BODY): 2, len(BODY) + BLOCK: 2}
    for length in range(0, len(whole), 1 if size > 513 else 37):
        if length in ends:
            assert len(read_tar(whole[:length], size)) == ends[length]
            continue
        with pytest.raises(LayerError, match=r"ends|cut short"):
            read_tar(whole[:length], size)


def test_no_entries() -> None:
    assert read_tar(b"") == read_tar(bytes(BLOCK)) == read_tar(END) == []


def test_zero_block_alone_in_the_middle() -> None:
    error = refused(tar_member(A) + bytes(BLOCK) + tar_member(B) + END, "single zero block")
    assert not error.digest


@pytest.mark.parametrize("rest", [b"junk", b"\0" * 5 + b"x", tar_bytes([B])])
def test_end_with_something_behind_it(rest: bytes) -> None:
    """It is no entry, but part of the tar, which the diffID is of."""
    listener = Listener()
    reader = TarReader(pieces(BODY + END + rest, 100), listener)
    assert [entry.path for entry in reader] == [b"a", b"b"]
    assert listener.heard == BODY + END + rest


def test_cut_in_an_extended_header() -> None:
    data = tar_bytes([Entry(b"n" * 300)])
    for length in range(BLOCK, 1536, 100):
        refused(data[:length], "ends within an extended header|cut short|between an extended")


@pytest.mark.parametrize("flag", ["x", "L", "K", "X"])
def test_extended_header_without_an_entry(flag: str) -> None:
    header = Entry(b"h", flag, content=b"13 path=name\n", format="ustar")
    refused(tar_bytes([A, header]), "between an extended header and its entry")


# -- headers --


def test_checksum_wrong() -> None:
    refused(tar_bytes([A, replace(B, bad_checksum=True)]), "checksum")


def test_checksum_of_signed_bytes() -> None:
    """Some old tars summed their bytes as signed ones."""
    block = bytearray(tar_member(Entry(b"caf\xe9", format="gnu")))
    block[148:156] = b" " * 8
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % signed
    assert paths(bytes(block) + END) == [b"caf\xe9"]


@pytest.mark.parametrize("field", ["mode", "uid", "gid", "size", "mtime"])
def test_number_malformed(field: str) -> None:
    refused(tar_bytes([Entry(b"a", raw={field: b"12x4"})]), "where a number belongs")
    refused(tar_bytes([Entry(b"a", raw={field: b"0009"})]), "where a number belongs")


def test_size_negative() -> None:
    refused(tar_bytes([Entry(b"a", raw={"size": b"\xff" * 12})]), "file of -1 bytes")


def test_size_beyond_63_bits() -> None:
    refused(tar_bytes([Entry(b"a", raw={"size": b"\x80" + b"\xff" * 11})]), "more than 63 bits")


@pytest.mark.parametrize("flag", [*"ADMNVB89", "\x01", "\xff", " "])
def test_type_unknown(flag: str) -> None:
    error = refused(tar_bytes([Entry(b"a", flag)]), "is not known")
    assert error.path == b"a"


@pytest.mark.parametrize("kind", ["dir", "symlink", "hardlink", "char", "fifo"])
def test_size_without_data_is_ignored(kind: str) -> None:
    link = b"a" if kind in ("symlink", "hardlink") else b""
    made = Entry(b"x", kind, link=link, claimed_size=1000)
    assert len(paths(tar_bytes([A, made, B]))) == 3


@pytest.mark.parametrize("kind", ["dir", "symlink", "hardlink", "char", "fifo"])
def test_data_where_none_belongs(kind: str) -> None:
    refused(tar_bytes([A, Entry(b"x", kind, link=b"a", content=b"data"), B]), "checksum")


# -- extended headers --


@pytest.mark.parametrize("flag", ["x", "g", "L", "K"])
def test_extended_header_too_large(flag: str) -> None:
    header = Entry(b"h", flag, content=b"x" * (MAX_EXTENDED + 1), format="ustar")
    refused(tar_bytes([header, A]), f"extended tar header of {MAX_EXTENDED + 1} bytes")
    claimed = Entry(b"h", flag, claimed_size=2**33 - 1, format="ustar")
    refused(tar_bytes([claimed, A]), "extended tar header of 8589934591 bytes")


def test_extended_header_of_negative_size() -> None:
    header = Entry(b"h", "x", raw={"size": b"\xff" * 12}, format="ustar")
    refused(tar_bytes([header, A]), "extended tar header of -1 bytes")


@pytest.mark.parametrize(
    "key",
    ["path", "linkpath", "size", "uid", "gid", "SCHILY.xattr.user.a", "GNU.sparse.major"],
)
def test_global_header_that_matters(key: str) -> None:
    header = pax_global([(b"comment", b"x"), (key.encode(), b"1")])
    refused(tar_bytes([header, A]), f"global PAX header sets {key} for all entries")


def test_global_headers_that_do_not() -> None:
    headers = [pax_global([(b"comment", b"x"), (b"mtime", b"1")]), pax_global([(b"a.b", b"c")])]
    assert paths(tar_bytes([headers[0], A, headers[1], B, headers[0]])) == [b"a", b"b"]


def test_gnu_and_pax_name_alike() -> None:
    """Both, and both the same: there is nothing to choose."""
    long = b"n" * 200
    both = Entry(long, records=[(b"path", long)], gnu_long=True)
    assert paths(tar_bytes([both])) == [long]


def test_gnu_and_pax_link_differ() -> None:
    made = Entry(b"a", "symlink", link=b"l" * 200, records=[(b"linkpath", b"m")], gnu_long=True)
    refused(tar_bytes([made]), "two targets")


def test_solaris_extended_header() -> None:
    header = Entry(b"h", "X", content=b"13 path=name\n", format="ustar")
    assert paths(tar_bytes([header, A])) == [b"name"]


# -- reading --


def test_content_passed_over_is_recorded() -> None:
    listener = Listener()
    reader = TarReader(pieces(BODY + END, 100), listener)
    assert [entry.path for entry in reader] == [b"a", b"b"]
    assert listener.heard == BODY + END
    assert listener.files == []


def test_content_left_half_read_is_a_bug_of_ours() -> None:
    reader = TarReader(pieces(BODY + END, 100), Listener())
    entries = iter(reader)
    next(entries)
    next(entries)
    next(reader.content())
    with pytest.raises(RuntimeError, match="half read"):
        next(entries)


def test_whole_content() -> None:
    listener = Listener()
    reader = TarReader(pieces(BODY + END, 100), listener)
    assert [reader.whole() for _ in reader] == [b"1", b"2" * 700]
    assert listener.heard == BODY + END


@examples(300)
@given(layers=stacks(layers=1, entries=12), size=st.integers(1, 3000))
def test_pieces_of_any_size_give_the_same_entries(layers: list[list[Entry]], size: int) -> None:
    data = tar_bytes(layers[0])
    assert read_tar(data, size) == read_tar(data)
