"""Sparse files: the four formats, and maps that lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.errors import LayerError
from layers.tar.reader import TarReader
from layers.tar.sparse import MAX_PIECES
from tests.tools.entry import Entry, Sparse, SparseStyle
from tests.tools.fuzz import examples
from tests.tools.sparse import gnu_extension
from tests.tools.tarbuild import tar_bytes
from tests.tools.tarread import Listener, pieces, read_tar

STYLES: list[SparseStyle] = ["gnu", "0.0", "0.1", "1.0"]
NEXT = Entry(b"next", content=b"n")


def refused(entry: Entry, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        read_tar(tar_bytes([entry, NEXT]))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("count", [0, 1, 4, 5, 25, 26, 300])
def test_format(style: SparseStyle, count: int) -> None:
    regions = tuple((8192 * n, b"%04d" % n * 128) for n in range(1, count + 1))
    sparse = Sparse(style, 8192 * (count + 2), regions)
    (entry, content), (following, _) = read_tar(
        tar_bytes([Entry(b"dir/holes", sparse=sparse), NEXT])
    )
    assert (entry.path, entry.size) == (b"dir/holes", sparse.size)
    assert content == sparse.expanded()
    assert following.path == b"next"


@st.composite
def sparse_files(draw: st.DrawFn) -> Sparse:
    at, regions = 0, []
    for n in range(draw(st.integers(0, 30))):
        at += 512 * draw(st.integers(0, 5))
        data = bytes([n + 1]) * (512 * draw(st.integers(1, 3)))
        regions.append((at, data))
        at += len(data)
    size = at + draw(st.integers(0, 2000))
    return Sparse(draw(st.sampled_from(STYLES)), size, tuple(regions))


@examples(200)
@given(sparse=sparse_files(), size=st.integers(1, 2000))
def test_any_map_gives_its_content(sparse: Sparse, size: int) -> None:
    data = tar_bytes([Entry(b"f", sparse=sparse), NEXT])
    assert read_tar(data, size)[0][1] == sparse.expanded()


def test_large_hole_is_not_held() -> None:
    """5 GB of zeros come piece by piece."""
    data = tar_bytes([Entry(b"f", sparse=Sparse("1.0", 5 << 30, ()))])
    reader = TarReader(pieces(data, 1 << 16), Listener())
    for entry in reader:
        assert entry.size == 5 << 30
        assert max(len(piece) for piece in reader.content()) == 1 << 20


def test_holes_are_bounded() -> None:
    """A tar of 2 KB would fill any disk."""
    data = tar_bytes([Entry(b"f%d" % n, sparse=Sparse("1.0", 6 << 30, ())) for n in range(20)])
    with pytest.raises(LayerError, match="sparse files unpack to too much") as caught:
        list(TarReader(pieces(data, 1 << 16), Listener()))
    assert "max-layer-size" in caught.value.hint
    huge = tar_bytes([Entry(b"f", sparse=Sparse("1.0", 2**62, ()))])
    with pytest.raises(LayerError, match="sparse files unpack to too much"):
        list(TarReader(pieces(huge, 1 << 16), Listener()))


# -- maps that lie --


def with_map(size: int, text: bytes, stored: bytes = b"", **records: bytes) -> Entry:
    """Format 0.1 with this map."""
    pairs = [(b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.map", text)]
    pairs += [(b"GNU.sparse." + name.encode(), value) for name, value in records.items()]
    return Entry(b"f", content=stored, records=pairs)


@pytest.mark.parametrize(
    ("size", "text", "stored"),
    [
        (100, b"0,10,5,10", b"x" * 20),  # overlapping
        (100, b"50,10,0,10", b"x" * 20),  # backwards
        (10, b"0,20", b"x" * 20),  # beyond the end
        (100, b"0,10", b"x" * 20),  # more stored
        (100, b"0,30", b"x" * 20),  # less stored
        (100, b"0,9223372036854775807", b"x" * 20),
    ],
)
def test_map_that_does_not_fit(size: int, text: bytes, stored: bytes) -> None:
    refused(with_map(size, text, stored), "sparse map")


@pytest.mark.parametrize(
    "text", [b"0", b"0,1,2", b"a,b", b"-1,1", b"0,,1", b",", b"0 ,1", b"0x1,1"]
)
def test_map_malformed(text: bytes) -> None:
    refused(with_map(10, text, b"x"), "sparse map")


def test_map_with_another_count() -> None:
    refused(with_map(10, b"0,1", b"x", numblocks=b"2"), "not of the length it should have")


def test_version_unknown() -> None:
    refused(with_map(10, b"0,1", b"x", major=b"2", minor=b"0"), "neither 0.0, 0.1 nor 1.0")
    refused(with_map(10, b"0,1", b"x", minor=b"1"), "neither 0.0, 0.1 nor 1.0")


@pytest.mark.parametrize("minor", [b"0", b"1"])
def test_version_said_though_it_need_not_be(minor: bytes) -> None:
    made = with_map(10, b"4,1", b"x", major=b"0", minor=minor)
    assert read_tar(tar_bytes([made]))[0][1] == bytes(4) + b"x" + bytes(5)


@pytest.mark.parametrize("key", [b"name", b"size", b"realsize", b"numblocks"])
def test_records_without_a_map(key: bytes) -> None:
    """GNU tar would take the name, Go not; the size decides how much is read."""
    refused(Entry(b"f", content=b"x", records=[(b"GNU.sparse." + key, b"1")]), "sparse map")


def test_records_out_of_order() -> None:
    pairs = [(b"GNU.sparse.numbytes", b"1"), (b"GNU.sparse.offset", b"0")]
    made = Entry(b"f", content=b"x", records=[(b"GNU.sparse.size", b"10"), *pairs])
    refused(made, "records are out of order")


def test_map_of_what_is_no_file() -> None:
    made = Entry(b"f", "dir", records=[(b"GNU.sparse.name", b"other")])
    refused(made, "sparse map of something that is no file")


def in_data(text: bytes, size: int = 10, rest: bytes = b"") -> Entry:
    """Format 1.0 with this map in front of the data."""
    records = [
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.realsize", b"%d" % size),
    ]
    return Entry(
        b"f", content=text.ljust(-(-len(text) // 512) * 512, b"\0") + rest, records=records
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1\n0\n", "lines longer than a number"),
        (b"30\n0\n", "map is longer than the file's data"),
        (b"x\n", "where a number belongs"),
        (b"-1\n", "where a number belongs"),
        (b"\n", "where a number belongs"),
        (b"1" * 600, "where a number belongs"),
        (b"2\n" + b"1" * 600, "lines longer than a number"),
        (b"100001\n", f"the bound is {MAX_PIECES}"),
        (b"99999999999999999999\n", "where a number belongs"),
    ],
)
def test_map_in_the_data_malformed(text: bytes, message: str) -> None:
    refused(in_data(text), message)


def test_map_in_the_data_is_bounded() -> None:
    """Lines without an end would be held whole."""
    endless = in_data(b"1\n".ljust(1 << 20, b"1"), rest=b"")
    refused(endless, "lines longer than a number")


def test_old_header_must_be_gnus() -> None:
    made = Entry(b"f", sparse=Sparse("gnu", 10, ()), raw={"magic": b"ustar\x0000"})
    refused(made, "type 'S' header that is not GNU's")


def test_old_header_and_pax_records() -> None:
    made = Entry(
        b"f",
        sparse=Sparse("gnu", 10, ()),
        records=[(b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", b"10,0")],
    )
    refused(made, "two sparse maps")


def test_old_map_without_end() -> None:
    """Each extension block says that one more follows."""
    sparse = Sparse("gnu", 1 << 40, tuple((512 * 2 * n, b"x" * 512) for n in range(30)))
    block = bytearray(gnu_extension(sparse)[:512])
    block[504] = 1
    head = tar_bytes([Entry(b"f", sparse=sparse)], trailer=False)[:512]
    with pytest.raises(LayerError, match=f"more than {MAX_PIECES} pieces"):
        read_tar(head + bytes(block) * 5000)
