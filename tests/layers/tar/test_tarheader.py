"""The header block's numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.errors import LayerError
from layers.tar.header import BLOCK, number, parse_header
from tests.tools.entry import Entry
from tests.tools.fuzz import examples
from tests.tools.header import base256, octal
from tests.tools.tarbuild import tar_member


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"000644 \0", 0o644),
        (b" 644    ", 0o644),
        (b"644\0\0\0\0\0", 0o644),
        (b"\0\0\0\0\0\0\0\0", 0),
        (b"        ", 0),
        (b"77777777", 0o77777777),  # without an end, as some tars fill the field
        (b"777777777777", 0o777777777777),
        (b"\0 12 \0", 0o12),
        (b"1\0002", 1),  # what follows a NUL is not looked at, as in Go
        (b"\x80\0\0\0\0\0\x01\0", 256),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
        (b"\xff\xff\xff\xff\xff\xff\xff\x00", -256),
    ],
)
def test_number(field: bytes, value: int) -> None:
    assert number(field) == value


@pytest.mark.parametrize(
    "field",
    [b"8", b"12a", b"-12", b"+12", b"1 2", b"0x12", b"1_0", b"\x80" + b"\xff" * 11],
)
def test_number_malformed(field: bytes) -> None:
    with pytest.raises(LayerError):
        number(field.ljust(8, b"\0") if len(field) < 8 and b"\0" not in field else field)


@examples(300)
@given(value=st.integers(0, 2**33 - 1))
def test_numbers_come_back(value: int) -> None:
    assert number(octal(value, 12)) == value
    assert number(base256(value, 12)) == value
    assert number(base256(-value, 12)) == -value


def test_header_is_what_was_written() -> None:
    entry = Entry(b"name", "char", mode=0o640, uid=1, gid=2, device=(3, 4), link=b"link")
    block = tar_member(entry)
    header = parse_header(block)
    assert header[:9] == (b"name", 0o640, 1, 2, 0, b"3", b"link", 3, 4)
    assert header.block == block


@examples(300)
@given(at=st.integers(0, BLOCK - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(at: int, bit: int) -> None:
    """The checksum is a plain sum, which sees each single bit, its own field's included."""
    block = bytearray(tar_member(Entry(b"name", content=b"")))
    block[at] ^= 1 << bit
    try:
        found = parse_header(bytes(block))
    except LayerError:
        return
    # Blanks and NULs around the checksum's digits mean the same.
    assert 148 <= at < 156
    assert found[:9] == parse_header(tar_member(Entry(b"name")))[:9]
