"""Compressing a tar: others read it, and it is the same however the tar comes in."""

import gzip
import io
import zlib

import pytest
import zstandard

from layers.compress.compress import BlobCompression, compressed

DATA = b"".join(b"%d\n" % (n * n) for n in range(140_000))


def blob(data: bytes, how: BlobCompression, size: int = 1 << 20) -> bytes:
    return b"".join(compressed((data[at : at + size] for at in range(0, len(data), size)), how))


def test_gzip_and_zstd_read_it() -> None:
    assert gzip.decompress(blob(DATA, BlobCompression.GZIP)) == DATA
    reader = zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(blob(DATA, BlobCompression.ZSTD))
    )
    assert reader.read() == DATA


def test_gzip_is_what_zlib_makes() -> None:
    """No name, no time, level 6."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    assert blob(DATA, BlobCompression.GZIP) == packer.compress(DATA) + packer.flush()


@pytest.mark.parametrize("how", BlobCompression)
def test_pieces_do_not_matter(how: BlobCompression) -> None:
    assert len({blob(DATA, how, size) for size in (1000, 70_001, 1 << 20, 1 << 22)}) == 1


@pytest.mark.parametrize("how", BlobCompression)
def test_nothing(how: BlobCompression) -> None:
    assert blob(b"", how)
