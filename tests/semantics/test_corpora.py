"""The tar cases of other projects' tests, made anew by our own builders.

Each is named after the file or test where it stands there:

- go: golang/go src/archive/tar, reader_test.go, strconv_test.go and their testdata/
- cpython: python/cpython Lib/test/test_tarfile.py and its testtar.tar
- libarchive: libarchive/libarchive libarchive/test/test_read_format_*, test_compat_*
- tar-split: vbatts/tar-split tar/asm/assemble_test.go and its testdata/
- ggcr: google/go-containerregistry pkg/v1/mutate/mutate_test.go
- containerd: containerd/containerd archive/tar_test.go, archive/compression

A case is read to the same entries as there, or refused for the reason given here.
"""

import bz2
import gzip
import lzma
from dataclasses import dataclass

import pytest
import zstandard

from layers.chunks import Chunks
from layers.compress.decompress import decompressed
from layers.entry import Kind
from layers.errors import LayerError
from layers.oci.media_type import Compression
from layers.tar.header import number
from layers.tar.pax import parse_records
from layers.tar.sparse import SparseMap, check_map, expanded
from tests.tools.entry import Entry, Sparse, SparseStyle, whiteout
from tests.tools.estargz import estargz
from tests.tools.mediatype import DOCKER, OCI
from tests.tools.pax import pax_record
from tests.tools.stack import Stack
from tests.tools.tarbuild import pax_global, tar_bytes
from tests.tools.tarread import pieces, read_tar

BLOCK = bytes(512)
SMALL = [Entry(b"small.txt", content=b"Kilts"), Entry(b"small2.txt", content=b"Google.com\n")]
SMALL_READ = [(b"small.txt", b"Kilts"), (b"small2.txt", b"Google.com\n")]
V7 = {"magic": bytes(8), "typeflag": b"\0"}
ALTERNATING = tuple((2 * n + 1, b"Go"[n % 2 : n % 2 + 1]) for n in range(100))


def sparse(style: SparseStyle, size: int, *regions: tuple[int, bytes]) -> Sparse:
    return Sparse(style, size, regions)


def long_name(flag: str, name: bytes) -> Entry:
    """GNU's header for a name ('L') or a link's target ('K')."""
    return Entry(b"././@LongLink", flag, content=name + b"\0", format="gnu")


def pax_for(name: bytes, *records: tuple[bytes, bytes]) -> Entry:
    """A PAX header by itself."""
    content = b"".join(pax_record(*record) for record in records)
    return Entry(name, "x", content=content, format="ustar")


def raw_pax(content: bytes) -> list[Entry]:
    """A PAX header with these bytes, and its file."""
    return [Entry(b"PaxHeaders/a", "x", content=content, format="ustar"), Entry(b"a")]


@dataclass(frozen=True)
class Read:
    """A tar, and its entries: paths, and contents or link targets."""

    tar: list[Entry] | bytes
    found: list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Refused:
    """A tar, and the reason against it; `there` is what the other project makes of it."""

    tar: list[Entry] | bytes
    reason: str
    there: str = "refused"


LONG = b"a/" + b"".join(b"%d" % n for n in range(1, 101))

CASES: dict[str, Read | Refused] = {
    "go: gnu.tar": Read(
        [Entry(e.path, content=e.content, format="gnu") for e in SMALL], SMALL_READ
    ),
    "go: star.tar": Read(SMALL, SMALL_READ),
    "go: v7.tar": Read([Entry(e.path, content=e.content, raw=V7) for e in SMALL], SMALL_READ),
    "go: sparse-formats.tar": Read(
        [
            *(
                Entry(b"sparse-" + style.encode(), sparse=sparse(style, 200, *ALTERNATING[:99]))
                for style in ("gnu", "0.0", "0.1", "1.0")
            ),
            Entry(b"end", content=b"end\n"),
        ],
        [
            *(
                (b"sparse-" + style, sparse("gnu", 200, *ALTERNATING[:99]).expanded())
                for style in (b"gnu", b"0.0", b"0.1", b"1.0")
            ),
            (b"end", b"end\n"),
        ],
    ),
    "go: pax.tar": Read(
        [Entry(LONG, content=b"shaner\n"), Entry(b"a/b", "symlink", link=LONG[2:])],
        [(LONG, b"shaner\n"), (b"a/b", LONG[2:])],
    ),
    "go: pax-bad-hdr-file.tar": Refused(raw_pax(b"8 a=bcdefgh\n"), "PAX header record"),
    "go: pax-bad-mtime-file.tar": Read(
        [Entry(b"a", records=[(b"mtime", b"12:34")])], [(b"a", b"")]
    ),
    "go: pax-pos-size-file.tar": Read(
        [Entry(b"foo", content=b"x" * 999, claimed_size=0, records=[(b"size", b"%024d" % 999)])],
        [(b"foo", b"x" * 999)],
    ),
    "go: pax-records.tar": Read(
        [Entry(b"file", records=[(b"GOLANG.pkg", b"tar"), (b"comment", "Hello, 世界".encode())])],
        [(b"file", b"")],
    ),
    "go: pax-global-records.tar": Refused(
        [pax_global([(b"path", b"global1"), (b"mtime", b"1500000000")]), *SMALL],
        "global PAX header sets path",
        there="an entry of type 'g', which changes no other",
    ),
    "go: nil-uid.tar": Read(
        [Entry(b"P1050238.JPG.log", raw={"uid": bytes(8)})], [(b"P1050238.JPG.log", b"")]
    ),
    "go: xattrs.tar": Read(
        [Entry(b"a", xattrs={b"user.key": b"value", b"security.selinux": b"u:r:t:s0\0"})],
        [(b"a", b"")],
    ),
    "go: gnu-multi-hdrs.tar": Read(
        [
            long_name("L", b"GNU1/GNU1/long-path-name"),
            long_name("L", b"GNU2/GNU2/long-path-name"),
            long_name("K", b"GNU3/GNU3/long-linkpath-name"),
            long_name("K", b"GNU4/GNU4/long-linkpath-name"),
            Entry(b"bar", "symlink", link=b"foo", format="gnu"),
        ],
        [(b"GNU2/GNU2/long-path-name", b"GNU4/GNU4/long-linkpath-name")],
    ),
    "go: pax-multi-hdrs.tar": Read(
        [
            pax_for(b"h1", (b"path", b"PAX1/PAX1/long-path-name")),
            pax_for(b"h2", (b"linkpath", b"PAX4/PAX4/long-linkpath-name")),
            Entry(b"bar", "symlink", link=b"foo"),
        ],
        [(b"bar", b"PAX4/PAX4/long-linkpath-name")],
    ),
    "go: gnu-incremental.tar": Refused(
        [Entry(b"test2/", "D", content=b"Yfoo\0Ysparse\0\0", format="gnu")],
        "entry type b'D' is not known",
        there="an entry of type 'D'",
    ),
    "go: gnu-long-nul.tar": Read(
        [long_name("L", b"0123456789\0abcdefghij"), Entry(b"short", format="gnu")],
        [(b"0123456789", b"")],
    ),
    "go: gnu-utf8.tar": Read(
        [Entry("☺☻☹".encode() * 40, format="gnu")], [("☺☻☹".encode() * 40, b"")]
    ),
    "go: gnu-not-utf8.tar": Read(
        [Entry(b"hi\x80\x81\x82\x83bye", format="gnu")], [(b"hi\x80\x81\x82\x83bye", b"")]
    ),
    "go: pax-nul-xattrs.tar": Refused(
        [Entry(b"a", records=[(b"SCHILY.xattr.null\0null", b"x")])], "with a NUL in it"
    ),
    "go: pax-nul-path.tar": Refused([Entry(b"a", records=[(b"path", b"null\0null")])], "NUL in it"),
    "go: neg-size.tar": Refused([Entry(b"a", raw={"size": b"\xff" * 12})], "file of -1 bytes"),
    "go: issue10968.tar": Refused(
        [Entry(b"a", sparse=sparse("gnu", 10), raw={"size": b"00000000\xff\xff"})],
        "where a number belongs",
    ),
    "go: issue11169.tar": Refused(raw_pax(b"1000000000000000000000000000000 a=b\n"), "malformed"),
    "go: issue12435.tar": Refused(
        [Entry(b"a", raw={"devmajor": b"\xff\xee"}, kind="3", bad_checksum=True)], "checksum"
    ),
    "go: invalid-go17.tar": Read(
        [Entry(b"foo", uid=0o10000000, format="gnu", raw={"prefix": b"a" * 97})],
        [(b"a" * 97 + b"/foo", b"")],
    ),
    "go: hdr-only.tar": Read(
        [
            Entry(
                b"hdr",
                kind,
                link=b"x" if kind in ("hardlink", "symlink") else b"",
                claimed_size=100,
            )
            for kind in ("hardlink", "symlink", "char", "block", "dir", "fifo")
        ],
        [
            (b"hdr", b"x"),
            (b"hdr", b"x"),
            (b"hdr", b""),
            (b"hdr", b""),
            (b"hdr/", b""),
            (b"hdr", b""),
        ],
    ),
    "go: file-and-dir.tar": Read([SMALL[0], Entry(b"dir", "dir")], [SMALL_READ[0], (b"dir/", b"")]),
    "go: trailing-slash.tar": Read([Entry(b"123456789/" * 30, "dir")], [(b"123456789/" * 30, b"")]),
    "go: gnu-nil-sparse-data.tar": Read(
        [Entry(b"sparse.db", sparse=sparse("gnu", 1000, (0, b"0123456789" * 100)))],
        [(b"sparse.db", b"0123456789" * 100)],
    ),
    "go: gnu-nil-sparse-hole.tar": Read(
        [Entry(b"sparse.db", sparse=sparse("gnu", 1000))], [(b"sparse.db", bytes(1000))]
    ),
    "go: pax-nil-sparse-data.tar": Read(
        [Entry(b"sparse.db", sparse=sparse("1.0", 1000, (0, b"0123456789" * 100)))],
        [(b"sparse.db", b"0123456789" * 100)],
    ),
    "go: pax-nil-sparse-hole.tar": Read(
        [Entry(b"sparse.db", sparse=sparse("1.0", 1000))], [(b"sparse.db", bytes(1000))]
    ),
    "go: gnu-sparse-many-zeros.tar": Refused(
        [Entry(b"a", sparse=sparse("gnu", 2**60, (0, b"x")))],
        "sparse files unpack to too much",
        there="a file of 1 EB",
    ),
    "cpython: ustar/conttype": Read([Entry(b"conttype", "7", content=b"c")], [(b"conttype", b"c")]),
    "cpython: ustar/dirtype-with-size": Read(
        [Entry(b"dirtype-with-size", "dir", claimed_size=255), SMALL[0]],
        [(b"dirtype-with-size/", b""), SMALL_READ[0]],
    ),
    "cpython: ustar/12345.../longname": Read(
        [Entry(b"ustar" + b"/12345" * 40 + b"67/longname", format="pax")],
        [(b"ustar" + b"/12345" * 40 + b"67/longname", b"")],
    ),
    "cpython: gnu/longlink": Read(
        [
            Entry(
                b"gnu" + b"/123" * 125 + b"/longlink",
                "hardlink",
                link=b"gnu" + b"/123" * 125,
                format="gnu",
            )
        ],
        [(b"gnu" + b"/123" * 125 + b"/longlink", b"gnu" + b"/123" * 125)],
    ),
    "cpython: misc/dirtype-old-v7": Read([Entry(b"old-v7/", raw=V7)], [(b"old-v7/", b"")]),
    "cpython: misc/regtype-suntar": Read(
        [
            Entry(
                b"regtype", "X", content=pax_record(b"path", b"misc/regtype-suntar"), format="ustar"
            ),
            Entry(b"x"),
        ],
        [(b"misc/regtype-suntar", b"")],
    ),
    "cpython: pax/hdrcharset-äöü": Read(
        [Entry(b"a", records=[(b"hdrcharset", b"BINARY"), (b"path", b"\xe4\xf6\xfc")])],
        [(b"\xe4\xf6\xfc", b"")],
    ),
    "cpython: test_empty_tarfile": Read(bytes(10240), []),
    "cpython: test_is_tarfile_erroneous": Read(b"", []),  # refused there, but not by any tool
    "cpython: test_ignore_zeros": Read(BLOCK * 2 + tar_bytes([Entry(b"foo")]), []),
    "cpython: test_premature_end_of_archive": Refused(
        tar_bytes([Entry(b"t", content=b"x" * 600)])[:1024], "ends 88 bytes"
    ),
    "cpython: test_length_zero_header": Refused(raw_pax(b"0 hello"), "malformed"),
    "cpython: test_truncated_longname": Refused(
        tar_bytes([long_name("L", b"n" * 300), Entry(b"a")])[:600], "within an extended header"
    ),
    "cpython: test_pax_global_headers": Refused(
        [pax_global([(b"foo", b"bar"), (b"uid", b"0")]), Entry(b"a")],
        "sets uid",
        there="applied to all entries",
    ),
    "libarchive: test_read_format_gtar_redundant_L": Read(
        [long_name("L", b"n" * 50), long_name("L", b"n" * 50), Entry(b"n" * 50, format="gnu")],
        [(b"n" * 50, b"")],
    ),
    "libarchive: test_read_format_tar_concatenated": Read(
        tar_bytes(SMALL[:1]) + tar_bytes(SMALL[1:]), SMALL_READ[:1]
    ),
    "libarchive: test_read_format_tar_empty_filename": Read(
        [Entry(b"", "5", mode=0o755)], [(b"", b"")]
    ),
    "libarchive: test_read_format_tar_empty_pax": Refused(
        [Entry(b"h", "x", format="ustar")],
        "between an extended header and its entry",
        there="the end",
    ),
    "libarchive: test_read_format_tar_empty_with_gnulabel": Refused(
        [Entry(b"test-label", "V", format="gnu")],
        "entry type b'V' is not known",
        there="the label is passed over",
    ),
    "libarchive: test_read_format_tar_invalid_pax_size": Refused(
        [Entry(b"a", records=[(b"size", b"a1000")])], "PAX size is not a number"
    ),
    "libarchive: test_read_format_tar_pax_g_large": Read(
        [pax_global([(b"comment", b"c" * 1_000_000)]), SMALL[0]], [SMALL_READ[0]]
    ),
    "libarchive: test_read_format_tar_pax_large_attr": Refused(
        [Entry(b"a", xattrs={b"user.large": b"x" * 1_200_000})],
        "extended tar header of",
        there="read",
    ),
    "libarchive: test_read_format_tar_pax_negative_time": Read(
        [Entry(b"a", mtime=-5.5)], [(b"a", b"")]
    ),
    "libarchive: test_read_format_tar_pax_global_header": Read(
        [pax_global([(b"comment", b"x")]), *SMALL], SMALL_READ
    ),
    "libarchive: test_read_format_tar_pax_global_header_concatenated": Read(
        tar_bytes([pax_global([(b"comment", b"x")])]) + tar_bytes(SMALL), []
    ),
    "libarchive: test_read_pax_vendor_attributes": Read(
        [Entry(b"a", records=[(b"SOMEBODY.key", b"v"), (b"RHT.security.selinux", b"x")])],
        [(b"a", b"")],
    ),
    "libarchive: test_read_format_tar_mac_metadata": Read(
        [Entry(b"._a", content=b"\0\x05\x16\x07"), Entry(b"a")],
        [(b"._a", b"\0\x05\x16\x07"), (b"a", b"")],
    ),
    "libarchive: test_compat_gtar_1": Read(
        [
            Entry(b"1234567890" * 20, format="gnu"),
            Entry(b"abcdefghij" * 20, "symlink", link=b"1234567890" * 20, format="gnu"),
        ],
        [(b"1234567890" * 20, b""), (b"abcdefghij" * 20, b"1234567890" * 20)],
    ),
    "libarchive: test_compat_gtar_2": Read(
        [Entry(b"file_with_big_uid_gid", uid=2097152, gid=2097152, format="gnu")],
        [(b"file_with_big_uid_gid", b"")],
    ),
    "libarchive: test_compat_solaris_tar_acl": Refused(
        [Entry(b"file", "A", content=b"1000004\0user::rw-", format="ustar"), Entry(b"file")],
        "entry type b'A' is not known",
        there="the ACL of the next entry",
    ),
    "tar-split: t.tar.gz": Read(SMALL, SMALL_READ),
    "tar-split: longlink.tar.gz": Read(
        [Entry(b"n" * 130, format="gnu"), Entry(b"l", "symlink", link=b"n" * 130, format="gnu")],
        [(b"n" * 130, b""), (b"l", b"n" * 130)],
    ),
    "tar-split: iso-8859.tar.gz": Read([Entry(b"hi\xe4", content=b"x")], [(b"hi\xe4", b"x")]),
    "tar-split: extranils.tar.gz": Read(tar_bytes(SMALL) + BLOCK * 20, SMALL_READ),
    "tar-split: notenoughnils.tar.gz": Read(tar_bytes(SMALL, trailer=False) + BLOCK, SMALL_READ),
    "tar-split: sparse.tar.gz": Read(
        [Entry(b"sparse", sparse=sparse("0.0", 100_000, (51200, b"x" * 512)))],
        [(b"sparse", bytes(51200) + b"x" * 512 + bytes(100_000 - 51712))],
    ),
}


def as_tar(tar: list[Entry] | bytes) -> bytes:
    return tar if isinstance(tar, bytes) else tar_bytes(tar)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if isinstance(case, Read)])
def test_read(name: str) -> None:
    case = CASES[name]
    assert isinstance(case, Read)
    found = [
        (entry.path, content if entry.kind is Kind.FILE else entry.link)
        for entry, content in read_tar(as_tar(case.tar))
    ]
    assert found == case.found


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if isinstance(case, Refused)])
def test_refused(name: str) -> None:
    case = CASES[name]
    assert isinstance(case, Refused)
    with pytest.raises(LayerError, match=case.reason):
        list(read_tar(as_tar(case.tar)))


# -- tables of values --


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"\x80", 0),
        (b"\x80\x00", 0),
        (b"\x80\x00\x00", 0),
        (b"\xbf", (1 << 6) - 1),
        (b"\xbf\xff", (1 << 14) - 1),
        (b"\xff", -1),
        (b"\xff\xff", -1),
        (b"\xc0", -(1 << 6)),
        (b"\xc0\x00", -(1 << 14)),
        (b"\x87\x76\xa2\x22\xeb\x8a\x72\x61", 537795476381659745),
        (b"\x80\x00\x00\x00\x07\x76\xa2\x22\xeb\x8a\x72\x61", 537795476381659745),
        (b"\xf7\x76\xa2\x22\xeb\x8a\x72\x61", -615126028225187231),
        (b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff", 2**63 - 1),
        (b"\xff\x80\x00\x00\x00\x00\x00\x00\x00", -(2**63)),
        (b"0000000\x00", 0),
        (b" \x0000000\x00", 0),
        (b"00000000227\x00", 0o227),
        (b"032033\x00 ", 0o32033),
        (b"320330\x00 ", 0o320330),
        (b"0000660\x00 ", 0o660),
        (b"\x00 0000660\x00 ", 0o660),
        (b"123\x7e\x5f\x264123", None),
        (b"0000000000000000000000000000x", None),
        (b"\x80\x80\x00\x00\x00\x00\x00\x00\x00", None),
        (b"\xff\x7f\xff\xff\xff\xff\xff\xff\xff", None),
        (b"-0123", None),
    ],
)
def test_go_parse_numeric(field: bytes, value: int | None) -> None:
    """go: strconv_test.go, TestParseNumeric."""
    if value is None:
        with pytest.raises(LayerError):
            number(field)
    else:
        assert number(field) == value


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"6 k=v\n", [(b"k", b"v")]),
        (b"19 path=/etc/hosts\n", [(b"path", b"/etc/hosts")]),
        (b"19 path=/etc/hosts\n6 k=v\n", [(b"path", b"/etc/hosts"), (b"k", b"v")]),
        (b"9 foo=ba\n", [(b"foo", b"ba")]),
        (b"24 path=a long file name", None),
        (b"6 k1=1\n", None),
        (b"7 k1=1\n6 =v\n", None),
        (b"3 somelongkey=\n", None),
        (b"50 tooshort=\n", None),
        (b"0" * 32 + b"30 mtime=1432668921.098285006\n30 ctime=2147483649.15163319", None),
        (b"06 k=v\n", None),
        (b"6\x00k=v\n", None),
        (b"000000 k=v\n", None),
        (b"000000 k=v\n" * 20, None),
        (b"+6 k=v\n", None),
        (b"6 k~v\n", None),
        (b"foo", None),
        (b"\0", None),
        (b"0", None),
        (b"-12", None),
        (b"000000000000000000000000000000000000", None),
        (b"3\n", None),
        (b"999 path=a\n", None),
    ],
)  # fmt: skip
def test_pax_records(data: bytes, found: list[tuple[bytes, bytes]] | None) -> None:
    """go: TestParsePAXRecord, TestParsePAX; cpython: test_pax_header_bad_formats."""
    if found is None:
        with pytest.raises(LayerError, match="PAX header record"):
            parse_records(data)
    else:
        assert parse_records(data) == tuple(found)


@pytest.mark.parametrize(
    ("size", "pairs", "stored", "content"),
    [
        (8, [(0, 2), (5, 3)], b"abcde", b"ab\0\0\0cde"),
        (10, [(0, 2), (5, 3)], b"abcde", b"ab\0\0\0cde\0\0"),
        (8, [(1, 3), (6, 2)], b"abcde", b"\0abc\0\0de"),
        (8, [(1, 3), (6, 0), (6, 0), (6, 2)], b"abcde", b"\0abc\0\0de"),
        (10, [(1, 3), (6, 2), (8, 0), (8, 0)], b"abcde", b"\0abc\0\0de\0\0"),
        (2, [], b"", b"\0\0"),
        (-2, [], b"", None),
        (-10, [(1, 3), (6, 2)], b"abcde", None),
        (10, [(1, 3), (6, 5)], b"abcde", None),
        (35, [(1, 3), (6, 5)], b"abcde", None),
        (35, [(1, 3), (6, -5)], b"abcde", None),
        (35, [(2**63 - 1, 3), (6, -5)], b"abcde", None),
        (10, [(1, 3), (2, 2)], b"abcde", None),
    ],
)
def test_go_sparse_file_reader(
    size: int, pairs: list[tuple[int, int]], stored: bytes, content: bytes | None
) -> None:
    """go: reader_test.go, TestSparseFileReader, TestFileReader."""
    sparse_map = SparseMap(size, tuple(pairs))
    if content is None:
        with pytest.raises(LayerError, match="sparse map"):
            check_map(sparse_map, len(stored))
        return
    check_map(sparse_map, len(stored))
    rest = stored

    def take(count: int) -> Chunks:
        nonlocal rest
        piece, rest = rest[:count], rest[count:]
        yield piece

    assert b"".join(expanded(sparse_map, take)) == content


# -- whole layers --


def stack_of(*layers: list[Entry]) -> Stack:
    stack = Stack()
    for layer in layers:
        stack.add(layer)
    return stack


def contents(stack: Stack) -> dict[bytes, bytes]:
    """What the files and links of all layers hold."""
    return {path: node[5] for path, node in stack.merged().items() if node[0] != "dir"}


def test_ggcr_whiteout_image() -> None:
    assert contents(stack_of([Entry(b"foo", content=b"foo\n")], [whiteout(b"foo")])) == {}


def test_ggcr_whiteout_dir() -> None:
    layers = [[Entry(b"foo", "dir"), Entry(b"foo/bar", content=b"x")], [whiteout(b"foo")]]
    assert stack_of(*layers).merged() == {}


def test_ggcr_overwritten_file() -> None:
    layers = [[Entry(b"foo.txt", content=b"foo")], [Entry(b"foo.txt", content=b"bar")]]
    assert contents(stack_of(*layers)) == {b"foo.txt": b"bar"}


def test_ggcr_extract_round_trip() -> None:
    bins = b"app/node_modules/.bin/"
    layer = [
        *(
            Entry(name, "dir", mode=0o755)
            for name in (b"app", b"app/bin", b"app/node_modules", bins)
        ),
        Entry(b"restricted", "dir", mode=0o700),
        Entry(b"app/main.js", content=b"hello"),
        Entry(b"restricted/secret.key", mode=0o600, content=b"secret"),
        Entry(bins + b"acorn", "symlink", link=b"../acorn/bin/acorn"),
        Entry(b"app/link-to-main", "symlink", link=b"/app/main.js"),
        Entry(b"app/main-hardlink.js", "hardlink", link=b"app/main.js"),
    ]
    stack = stack_of(layer)
    assert contents(stack) == {
        b"app/main.js": b"hello",
        b"app/main-hardlink.js": b"hello",
        b"restricted/secret.key": b"secret",
        bins + b"acorn": b"../acorn/bin/acorn",
        b"app/link-to-main": b"/app/main.js",
    }
    assert stack.merged()[b"restricted"][1] == 0o700


def test_ggcr_hardlink_target_overwritten_by_newer_layer() -> None:
    layers = [
        [Entry(b"t2", content=b"123\n")],
        [Entry(b"t1", "hardlink", link=b"t2"), Entry(b"t3", "hardlink", link=b"t1")],
        [Entry(b"t1", content=b"456\n")],
    ]
    assert contents(stack_of(*layers)) == {b"t1": b"456\n", b"t2": b"123\n", b"t3": b"123\n"}


PASSWD = [Entry(b"etc", "dir", mode=0o770), Entry(b"/etc/passwd", content=b"inside")]
THROUGH = "leads through something that is not a directory"
BELOW = "target is below something that is no directory"


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("SymlinkAbsolute", [Entry(b"l", "symlink", link=b"/etc"), Entry(b"/l/unbroken")], THROUGH),
        ("SymlinkUpAndOut", [Entry(b"l", "symlink", link=b"/x/../etc"), Entry(b"/l/u")], THROUGH),
        ("SymlinkEmptyFile", [Entry(b"l", "symlink", link=b"/etc"), Entry(b"/l/passwd")], THROUGH),
        (
            "HardlinkRelative",
            [
                Entry(b"breakouts/d1", "symlink", link=b"../../etc"),
                Entry(b"breakouts/my", "hardlink", link=b"/breakouts/d1/passwd"),
            ],
            BELOW,
        ),
        (
            "HardlinkAbsolute",
            [Entry(b"l", "symlink", link=b"/etc"), Entry(b"p", "hardlink", link=b"/l/passwd")],
            BELOW,
        ),
        (
            "HardlinkDirectRelative",
            [Entry(b"p", "hardlink", link=b"../../../../../etc/passwd")],
            "leaves the layer's root",
        ),
    ],
)
def test_containerd_breakouts(name: str, layer: list[Entry], reason: str) -> None:
    """There they are followed, inside the root; here they are refused."""
    with pytest.raises(LayerError, match=reason):
        Stack().add([*PASSWD, *layer])


@pytest.mark.parametrize("target", [b"../../../../../etc/passwd", b"/etc/passwd"])
def test_containerd_hardlink_to_a_symlink(target: bytes) -> None:
    layer = [
        *PASSWD,
        Entry(b"passwdlink", "symlink", link=target),
        Entry(b"localpasswd", "hardlink", link=b"/passwdlink"),
        Entry(b"direct", "hardlink", link=b"/etc/passwd"),
    ]
    found = contents(stack_of(layer))
    assert found[b"localpasswd"] == found[b"passwdlink"] == target
    assert found[b"direct"] == b"inside"


@pytest.mark.parametrize(
    "target", [b"../other", b"../../../breakout", b"etc/../../upandout", b"/etc"]
)
def test_containerd_relative_symlinks(target: bytes) -> None:
    """A symlink may point anywhere: nothing here follows it."""
    assert contents(stack_of([Entry(b"l", "symlink", link=target)])) == {b"l": target}


TAR = tar_bytes(SMALL)
SKIPPABLE = b"\x50\x2a\x4d\x18\x07\0\0\0skipped"


def members(*parts: bytes) -> bytes:
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


def frames(*parts: bytes) -> bytes:
    return b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(part) for part in parts)


NO_END = tar_bytes(SMALL, trailer=False)
ESTARGZ = {lossless: estargz(SMALL, lossless=lossless) for lossless in (False, True)}
PADDED_SIZE = tar_bytes(
    [Entry(b"foo", content=b"x" * 999, claimed_size=0, records=[(b"size", b"%024d" % 999)])]
)
BAD_CRC = bytearray(members(TAR))
BAD_CRC[-8] ^= 1
BLOBS: dict[str, tuple[Compression, bytes, str]] = {
    "plain": (Compression.NONE, TAR, ""),
    "gzip": (Compression.GZIP, members(TAR), ""),
    "gzip-of-several-members": (Compression.GZIP, members(TAR[:700], b"", TAR[700:], b""), ""),
    "gzip-type-plain-blob-oci": (Compression.GZIP, TAR, "its first bytes say none"),
    "gzip-type-plain-blob-docker": (Compression.GZIP, TAR, ""),
    "gzip-then-zeros": (Compression.GZIP, members(TAR) + bytes(512), "not another member"),
    "gzip-then-junk": (Compression.GZIP, members(TAR) + b"junk", "not another member"),
    "gzip-cut": (Compression.GZIP, members(TAR)[:-6], "ends within a member"),
    "gzip-bad-crc": (Compression.GZIP, bytes(BAD_CRC), "gzip: "),
    "zstd": (Compression.ZSTD, frames(TAR), ""),
    "zstd-of-several-frames": (Compression.ZSTD, frames(TAR[:700], b"", TAR[700:]), ""),
    "zstd-skippable-first": (Compression.ZSTD, SKIPPABLE + frames(TAR), ""),
    "zstd-skippable-between": (
        Compression.ZSTD,
        frames(TAR[:700]) + SKIPPABLE + frames(TAR[700:]) + SKIPPABLE,
        "",
    ),
    "zstd-then-zeros": (Compression.ZSTD, frames(TAR) + bytes(64), "not another frame"),
    "zstd-then-junk": (Compression.ZSTD, frames(TAR) + b"j", "not another frame"),
    "zstd-cut": (Compression.ZSTD, frames(TAR)[:-5], "ends within a frame"),
    "zstd-of-gzip-type": (Compression.GZIP, frames(TAR), "its first bytes say zstd"),
    "gzip-of-plain-type": (Compression.NONE, members(TAR), "its first bytes say gzip"),
    "bzip2": (Compression.NONE, bz2.compress(TAR), "checksum|where a number belongs|cut short"),
    "xz": (Compression.GZIP, lzma.compress(TAR), "its first bytes say none"),
    "no-end-marker": (Compression.NONE, NO_END, ""),
    "half-end-marker": (Compression.GZIP, members(NO_END + BLOCK), ""),
    "end-marker-cut": (Compression.NONE, NO_END + BLOCK[:100], "cut short"),
    "end-in-an-entry": (Compression.NONE, NO_END[:-512], "cut short|ends 11 bytes"),
    "end-in-the-padding": (Compression.NONE, NO_END[:-1], "ends 1 bytes"),
    "zero-block-amid-entries": (Compression.NONE, BLOCK + TAR, "single zero block"),
    "zeros-behind-the-end": (Compression.GZIP, members(TAR + bytes(8192)), ""),
    "junk-behind-the-end": (Compression.GZIP, members(TAR + b"junk"), ""),
    "tar-behind-the-end": (Compression.NONE, TAR + tar_bytes([Entry(b"more")]), ""),
    "estargz-of-buildkit": (Compression.GZIP, ESTARGZ[True].blob, ""),
    "estargz-of-ctr-remote": (Compression.GZIP, ESTARGZ[False].blob, ""),
    "solaris-extended-header": (
        Compression.NONE,
        tar_bytes([Entry(b"h", "X", content=b"13 path=name\n", format="ustar"), SMALL[0]]),
        "",
    ),
    "gnu-times-that-are-none": (
        Compression.NONE,
        tar_bytes([Entry(b"name", format="gnu", raw={"prefix": b"\xff" * 24})]),
        "",
    ),
    "pax-size-with-zeros": (Compression.NONE, PADDED_SIZE, ""),
    "empty-blob": (Compression.NONE, b"", ""),
    "empty-blob-of-gzip-type": (Compression.GZIP, b"", "its first bytes say none"),
    "gzip-of-nothing": (Compression.GZIP, members(b""), ""),
}
UNPACKED = {
    "no-end-marker": NO_END,
    "half-end-marker": NO_END + BLOCK,
    "zeros-behind-the-end": TAR + bytes(8192),
    "junk-behind-the-end": TAR + b"junk",
    "estargz-of-buildkit": ESTARGZ[True].tar,
    "estargz-of-ctr-remote": ESTARGZ[False].tar,
    "empty-blob": b"",
    "empty-blob-of-gzip-type": b"",
    "gzip-of-nothing": b"",
}


def media_type_of(name: str) -> str:
    """What the manifest says of a blob."""
    types = DOCKER if "docker" in name else OCI
    return types.of_layer(BLOBS[name][0].name.lower())


def tar_of(name: str) -> bytes:
    """The tar in a blob, or what would be, were the blob not packed wrongly."""
    compression, blob, _ = BLOBS[name]
    packed = name in ("gzip-of-plain-type", "bzip2")
    plain = blob if compression is Compression.NONE and not packed else TAR
    return UNPACKED.get(name, plain)


@pytest.mark.parametrize("name", BLOBS)
def test_containerd_compression(name: str) -> None:
    """containerd: archive/compression, and what else a blob can be."""
    compression, blob, reason = BLOBS[name]
    media_type = media_type_of(name)
    if reason:
        with pytest.raises(LayerError, match=reason):
            Stack().add(b"".join(decompressed(pieces(blob, 100), media_type, compression)))
    else:
        unpacked = b"".join(decompressed(pieces(blob, 100), media_type, compression))
        assert unpacked == tar_of(name)
        Stack().add(unpacked)
