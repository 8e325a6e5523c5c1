"""PAX records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.errors import LayerError
from layers.tar.pax import Pax, parse_records
from tests.tools.fuzz import examples
from tests.tools.pax import pax_records

keys = st.binary(min_size=1, max_size=30).filter(lambda key: b"=" not in key)


@examples(300)
@given(records=st.lists(st.tuples(keys, st.binary(max_size=120)), max_size=5))
def test_records_come_back(records: list[tuple[bytes, bytes]]) -> None:
    assert parse_records(pax_records(records)) == tuple(records)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"12",
        b" path=a\n",
        b"5 a=b\n",  # one less than it is
        b"7 a=b\n",  # one more
        b"6 a=b\nx",
        b"6 a=bc",  # no newline
        b"-6 a=b\n",
        b"+6 a=b\n",
        b"6\ta=b\n",
        b"4 a\n",  # no =
        b"5 =b\n",  # no key
        b"0 ",
        b"3 \n",
        b"99999999999 a=b\n",
        b"6 a=b\n" + b"\0" * 3,
        b"\xb26 a=b\n",  # a digit elsewhere than in ASCII
    ],
)
def test_record_malformed(data: bytes) -> None:
    with pytest.raises(LayerError, match="PAX header record is"):
        parse_records(data)


def test_record_with_leading_zeros() -> None:
    assert parse_records(b"0000000007 a=b\n"[-7:]) == ((b"a", b"b"),)
    assert parse_records(b"00000015 a=bcd\n") == ((b"a", b"bcd"),)


def test_value_may_hold_anything() -> None:
    records = ((b"a", b"x=y\n\0\xff"), (b"b", b""))
    assert parse_records(pax_records(records)) == records


def test_last_of_a_key_counts_and_empty_takes_back() -> None:
    pax = Pax(((b"path", b"a"), (b"path", b"b"), (b"uid", b"7"), (b"uid", b"")))
    assert pax.text(b"path", b"-") == b"b"
    assert pax.number(b"uid", 3) == 3
    assert pax.text(b"linkpath", b"-") == b"-"


@pytest.mark.parametrize(
    "value", [b"-1", b"1.5", b"0x1", b" 1", b"1 ", b"9" * 19, b"9" * 30, b"\xb2"]
)
def test_number_malformed(value: bytes) -> None:
    with pytest.raises(LayerError, match="PAX size is not a number"):
        Pax(((b"size", value),)).number(b"size", 0)


@pytest.mark.parametrize(
    ("value", "number"), [(b"000", 0), (b"%024d" % 999, 999), (b"0" * 30 + b"7", 7)]
)
def test_number_with_zeros(value: bytes, number: int) -> None:
    """Go's pax-pos-size-file.tar has such a size."""
    assert Pax(((b"size", value),)).number(b"size", 1) == number


def test_xattrs_sorted_with_empty_values() -> None:
    pax = Pax(((b"SCHILY.xattr.user.b", b""), (b"SCHILY.xattr.user.a", b"\xff"), (b"other", b"x")))
    assert pax.xattrs() == ((b"user.a", b"\xff"), (b"user.b", b""))


@pytest.mark.parametrize(
    ("name", "value"), [(b"", b"v"), (b"n" * 256, b"v"), (b"a\0b", b"v"), (b"user.a", b"v" * 65537)]
)
def test_xattr_beyond_what_linux_has(name: bytes, value: bytes) -> None:
    with pytest.raises(LayerError, match="xattr"):
        Pax(((b"SCHILY.xattr." + name, value),)).xattrs()
