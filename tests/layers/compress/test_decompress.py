"""From the blob to the tar: what gzip and zstd write, and what is no whole file of theirs."""

import gzip
import subprocess
import zlib
from collections.abc import Generator

import pytest
import zstandard

from layers.compress.decompress import CHUNK, decompressed
from layers.errors import LayerError
from layers.oci.media_type import layer_compression
from tests.tools.mediatype import DOCKER, OCI

DATA = b"".join(b"%d\n" % n for n in range(300_000))
SIZES = pytest.mark.parametrize("size", [1, 3, 1000, 1 << 20], ids="by {}".format)


def unpacked(blob: bytes, media_type: str, size: int = 1 << 16) -> bytes:
    """What comes out, when the blob comes in pieces of this size."""

    def pieces() -> Generator[bytes]:
        yield from (blob[at : at + size] for at in range(0, len(blob), size))

    found = list(decompressed(pieces(), media_type, layer_compression(media_type)))
    assert all(0 < len(piece) <= CHUNK for piece in found)
    return b"".join(found)


def packed(kind: str, data: bytes = DATA) -> bytes:
    """By the tool that most people use."""
    argv = {"gzip": ["gzip", "-c"], "zstd": ["zstd", "-q", "-c"], "none": ["cat"]}
    return subprocess.run(argv[kind], input=data, capture_output=True, check=True).stdout


def gz(data: bytes) -> bytes:
    """Without the time: some of it is in tests' names, which all processes must agree upon."""
    return gzip.compress(data, mtime=0)


def zstd(data: bytes, **options: int) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]  # its stub has no int


SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
GZIP, ZSTD, NONE = (OCI.of_layer(kind) for kind in ("gzip", "zstd", "none"))
#: A header with all optional fields: RFC 1952, 2.3.
HEADER = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03" + b"\x04\0abcd" + b"name\0" + b"comment\0"
HEADER_CRC = (zlib.crc32(HEADER) & 0xFFFF).to_bytes(2, "little")
FULL_HEADER = HEADER + HEADER_CRC + gz(b"text")[10:]


@SIZES
@pytest.mark.parametrize("kind", ["gzip", "none"])
def test_what_the_tools_write(kind: str, size: int) -> None:
    data = DATA if size > 3 else DATA[:5000]
    assert unpacked(packed(kind, data), OCI.of_layer(kind), size) == data
    assert unpacked(packed(kind, data), DOCKER.of_layer(kind), size) == data


@SIZES
def test_zstd(size: int) -> None:
    data = DATA if size > 3 else DATA[:5000]
    assert unpacked(zstd(data), ZSTD, size) == data


@pytest.mark.parametrize(
    ("blob", "media_type", "data"),
    [
        (gz(b"a") + gz(b"") + gz(b"b"), GZIP, b"ab"),
        (FULL_HEADER, GZIP, b"text"),
        (FULL_HEADER + FULL_HEADER, GZIP, b"texttext"),
        (gz(b""), GZIP, b""),
        (zstd(b"a") + zstd(b"b"), ZSTD, b"ab"),
        (SKIPPABLE + zstd(b"a") + SKIPPABLE + zstd(b"b") + SKIPPABLE, ZSTD, b"ab"),
        (zstd(b""), ZSTD, b""),
        (zstd(b"a" * 100_000, level=19), ZSTD, b"a" * 100_000),
        (b"plain", DOCKER.of_layer("gzip"), b"plain"),
        (b"", NONE, b""),
        (b"x", NONE, b"x"),
    ],
)
@SIZES
def test_less_usual_files(blob: bytes, media_type: str, data: bytes, size: int) -> None:
    assert unpacked(blob, media_type, size) == data


GZ, ZS = gz(DATA[:5000]), zstd(DATA[:5000])
CHECKED = zstandard.ZstdCompressor(write_checksum=True).compress(DATA[:5000])
BAD = {
    "plain as gzip": (b"plain text", GZIP),
    "plain as zstd": (b"plain text", ZSTD),
    "gzip as zstd": (GZ, ZSTD),
    "zstd as gzip": (ZS, GZIP),
    "zstd as docker's gzip": (ZS, DOCKER.of_layer("gzip")),
    "gzip as plain": (GZ, NONE),
    "gzip, cut short": (GZ[:-100], GZIP),
    "gzip without its trailer": (GZ[:-8], GZIP),
    "gzip with half a trailer": (GZ[:-4], GZIP),
    "gzip header only": (GZ[:10], GZIP),
    "gzip, half a header": (GZ[:5], GZIP),
    "gzip, wrong checksum": (GZ[:-8] + b"\0\0\0\0" + GZ[-4:], GZIP),
    "gzip, wrong length": (GZ[:-4] + b"\0\0\0\0", GZIP),
    "gzip, corrupt": (GZ[:50] + b"\xff\xff\xff\xff" + GZ[54:], GZIP),
    "gzip, then zeros": (GZ + b"\0" * 100, GZIP),
    "gzip, then text": (GZ + b"text", GZIP),
    "gzip, then half a member": (GZ + GZ[:30], GZIP),
    "gzip, then one byte": (GZ + b"\x1f", GZIP),
    "zstd, cut short": (ZS[:-100], ZSTD),
    "zstd, cut in its header": (ZS[:6], ZSTD),
    "zstd, then zeros": (ZS + b"\0" * 100, ZSTD),
    "zstd, then text": (ZS + b"text", ZSTD),
    "zstd, then half a frame": (ZS + ZS[:30], ZSTD),
    "zstd, wrong checksum": (CHECKED[:-4] + b"\0\0\0\0", ZSTD),
    "zstd, half a skippable frame": (ZS + SKIPPABLE[:-2], ZSTD),
    "two bytes as gzip": (b"\x1f\x8b", GZIP),
    "one byte as gzip": (b"\x1f", GZIP),
}


@pytest.mark.parametrize("name", BAD)
@SIZES
def test_what_is_no_whole_file(name: str, size: int) -> None:
    blob, media_type = BAD[name]
    with pytest.raises(LayerError):
        unpacked(blob, media_type, size)


def test_a_gzip_header_without_an_end() -> None:
    with pytest.raises(LayerError, match="header"):
        unpacked(b"\x1f\x8b\x08\x08" + b"x" * (3 << 20), GZIP)


def test_zstd_that_wants_too_large_a_window() -> None:
    """A frame header may ask for gigabytes of memory (RFC 8878, 3.1.1.1.2)."""
    parameters = zstandard.ZstdCompressionParameters(window_log=28, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    stream = compressor.compressobj()
    blob = stream.compress(b"x" * 1000) + stream.flush()
    with pytest.raises(LayerError, match="zstd"):
        unpacked(blob, ZSTD)


@pytest.mark.parametrize("make", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_bomb_comes_out_piece_by_piece(make: object) -> None:
    """60 MB out of little: nobody holds it as a whole."""
    assert callable(make)
    blob, count = make(bytes(60 << 20)), 0
    media_type = GZIP if make is gzip.compress else ZSTD

    def one() -> Generator[bytes]:
        yield blob

    for piece in decompressed(one(), media_type, layer_compression(media_type)):
        assert len(piece) <= CHUNK
        count += len(piece)
    assert count == 60 << 20
