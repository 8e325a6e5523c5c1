"""A small blob must not fill a disk or the memory: every bound, and what a layer costs.

`pytest -s tests/layers/test_bounds.py -k cost` prints the bytes that are held for an entry.
"""

import gc
import gzip
import hashlib
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from importer.cli.config import default_map
from importer.cli.import_image import import_image
from layers.chunks import Chunks, DiffID, verified
from layers.compress.decompress import decompressed
from layers.digest import Digest
from layers.errors import LayerError
from layers.limits import DeviceNodes, Limits
from layers.oci.media_type import Compression
from layers.tree.layer_reader import LayerReader
from layers.tree.translate import settle
from tests.tools.entry import Entry, Sparse, opaque, whiteout
from tests.tools.image import build_oci
from tests.tools.mediatype import OCI
from tests.tools.ostreerepo import fsck, ls, refs
from tests.tools.stack import Stack, iter_once
from tests.tools.tarbuild import TRAILER, tar_member
from tests.tools.tarread import pieces

MIB = 1 << 20
ENTRIES = 1_500


def tar_stream(entries: Iterable[Entry]) -> Chunks:
    """A tar that is never whole anywhere."""
    for entry in entries:
        yield tar_member(entry)
    yield TRAILER


def read(entries: Iterable[Entry], limits: Limits) -> LayerReader:
    """Read a layer, each file's content dropped."""
    reader = LayerReader(tar_stream(entries), DeviceNodes.AUTO, limits)
    for leaf, _ in reader:
        leaf.checksum = "0" * 64
    return reader


def test_bytes_without_end_behind_the_end() -> None:
    """They are no entries, but they are bytes of the layer."""
    junk = (b"junk" * 1000 for _ in range(10**12))
    tar = DiffID(chain(tar_stream([Entry(b"a")]), junk), Digest.of(b""), 50 * MIB)
    with pytest.raises(LayerError, match="more than 52428800 bytes") as caught:
        list(LayerReader(iter(tar), DeviceNodes.AUTO, Limits()))
    assert "max-layer-size" in caught.value.hint


# -- entries --


def endless(make: Callable[[int], Entry]) -> Iterator[Entry]:
    """Ever more entries; the test ends because they are refused."""
    return (make(n) for n in range(10**12))


@pytest.mark.parametrize(
    "make",
    [
        lambda n: Entry(b"f%d" % n),
        lambda _: Entry(b"same"),
        lambda n: Entry(b"d%d" % n, "dir"),
        lambda n: whiteout(b"w%d" % n),
        lambda n: opaque(b"o%d" % n),
        lambda n: Entry(b"dev/d%d" % n, "char"),
        lambda _: Entry(b".wh..wh.aufs"),
        lambda n: Entry(b"h%d" % n, "hardlink", link=b"nowhere"),
    ],
)
def test_entries_without_end(make: Callable[[int], Entry]) -> None:
    with pytest.raises(LayerError, match="more than 5000 entries") as caught:
        read(endless(make), Limits(entries=5000))
    assert "max-layer-entries" in caught.value.hint


@pytest.mark.parametrize(
    "make",
    [
        lambda n: Entry(b"a/" * 1500 + b"%d" % n),
        lambda n: Entry(b"s%d" % n, "symlink", link=b"t" * 4000),
        lambda n: Entry(b"h%d" % n, "hardlink", link=b"a/" * 2000),
        lambda n: Entry(b"x%d" % n, "dir", xattrs={b"user.x": bytes(4_000)}),
    ],
)
def test_long_paths_and_xattrs_without_end(make: Callable[[int], Entry]) -> None:
    """Few entries that are large cost what many small ones do."""
    with pytest.raises(LayerError, match="paths and xattrs are larger than 1280000 bytes"):
        read(endless(make), Limits(entries=5000))


def test_as_many_as_allowed() -> None:
    reader = read((Entry(b"f%d" % n) for n in range(5000)), Limits(entries=5000))
    assert len(reader.tree.root.entries) == 5000


def held(entries: Iterable[Entry], stack: Stack) -> tuple[int, int]:
    """Bytes that are held of a layer when it is read, and at most until it is settled."""
    gc.collect()
    tracemalloc.start()
    try:
        reader = read(entries, Limits())
        record = reader.tar_split(lambda _: iter_once(b""))
        now, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        settled = settle(reader.tree, stack.lower())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert settled
    assert record
    return now, peak


def per_entry(entries: Iterable[Entry], stack: Stack) -> tuple[int, int]:
    """The same for each entry, without what a layer costs that has none."""
    nothing, something = held([], stack), held(entries, stack)
    now, peak = ((more - less) // ENTRIES for less, more in zip(nothing, something, strict=True))
    return now, peak


COSTS: dict[str, Callable[[int], Entry]] = {
    "files": lambda n: Entry(b"d/%06d" % n, content=b"x"),
    "directories": lambda n: Entry(b"d/%06d" % n, "dir"),
    "unlisted directories": lambda n: Entry(b"%06d/f" % n),
    "symlinks": lambda n: Entry(b"d/%06d" % n, "symlink", link=b"target"),
    "hardlinks to lower files": lambda n: Entry(b"d/%06d" % n, "hardlink", link=b"lower"),
    "whiteouts": lambda n: whiteout(b"d/%06d" % n),
    "unlisted whiteouts": lambda n: whiteout(b"%06d/x" % n),
    "deep directories": lambda n: Entry(b"a/" * 100 + b"%06d" % n, "dir"),
    "deep links": lambda n: Entry(b"a/" * 100 + b"%06d" % n, "hardlink", link=b"lower"),
}


@pytest.mark.parametrize("shape", COSTS)
def test_cost_of_an_entry(shape: str) -> None:
    """What docs/semantics.md says of memory; the tree of libostree comes on top of it."""
    stack = Stack()
    stack.add([Entry(b"lower", content=b"x")])
    entries = [COSTS[shape](n) for n in range(ENTRIES)]
    text = sum(len(entry.path) + len(entry.link) for entry in entries) // ENTRIES
    now, peak = per_entry(entries, stack)
    print(f"{shape}: {now} bytes an entry when read, {peak} when settled, of {text} bytes of text")
    assert peak < 1500 + 2 * text


def test_depth_does_not_multiply() -> None:
    """A path is a list of names nowhere where there are many paths."""
    shallow, deep = COSTS["directories"], COSTS["deep directories"]
    _, one = per_entry([shallow(n) for n in range(ENTRIES)], Stack())
    _, other = per_entry([deep(n) for n in range(ENTRIES)], Stack())
    assert other < 1.5 * one


def test_names_taken_again_and_again() -> None:
    """A directory that is replaced by a file, and comes again, is walked once."""
    reader = LayerReader(tar_stream(replaced()), DeviceNodes.AUTO)
    for leaf, _ in reader:
        leaf.checksum = "0" * 64
    assert reader.tar_split(lambda _: iter_once(b"x"))


def replaced() -> Iterator[Entry]:
    for _ in range(20):
        yield from (Entry(b"d/%06d" % n, content=b"x") for n in range(100))
        yield Entry(b"d", content=b"x")
        yield Entry(b"d", "dir")


# -- sizes --


def zeros(size: int) -> Chunks:
    """A tar with one file of so many zeros, in pieces."""
    yield tar_member(Entry(b"zeros", claimed_size=size))
    yield from (bytes(MIB) for _ in range(size // MIB))
    yield TRAILER


def bomb(compression: Compression, size: int) -> bytes:
    """The same, packed: a thousandth, or far less."""
    if compression is Compression.GZIP:
        return gzip.compress(b"".join(zeros(size)), 1, mtime=0)
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join([*(packer.compress(piece) for piece in zeros(size)), packer.flush()])


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_bomb_is_refused_before_it_goes_off(compression: Compression) -> None:
    blob = bomb(compression, 120 * MIB)
    assert len(blob) < 3 * MIB
    media_type = OCI.of_layer(compression.name.lower())
    tracemalloc.start()
    try:
        tar = DiffID(
            decompressed(pieces(blob, MIB), media_type, compression), Digest.of(b""), 50 * MIB
        )
        with pytest.raises(LayerError, match="unpacks to more than 52428800 bytes") as caught:
            for _ in LayerReader(iter(tar), DeviceNodes.AUTO):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "max-layer-size" in caught.value.hint
    assert tar.size <= 51 * MIB
    assert peak < 20 * MIB


def test_blob_larger_than_the_manifest_says() -> None:
    """A server that sends for ever is not listened to for ever."""

    def for_ever() -> Chunks:
        while True:
            yield bytes(MIB)

    with pytest.raises(LayerError, match="longer than the 5242880 bytes"):
        for _ in verified(for_ever(), Digest.of(b""), 5 * MIB):
            pass


def test_zstd_window_is_bounded() -> None:
    """A frame may ask for a window of 3.75 TB (RFC 8878, 3.1.1.1.2)."""
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0xFF]) + b"\x01\x00\x00"
    with pytest.raises(LayerError, match=r"zstd: .*memory"):
        list(decompressed(pieces(frame, 100), OCI.of_layer("zstd"), Compression.ZSTD))


def test_default_bounds() -> None:
    """Far above any real layer."""
    assert Limits() == Limits(size=64 << 30, entries=2_000_000)
    assert Limits().text == 512_000_000


# -- from the command line --


def imported(tmp_path: Path, *options: str, config: dict[str, str] | None = None) -> Result:
    source = [f"oci:{tmp_path}/oci:t", "--repo", str(tmp_path / "repo"), "--insecure-policy"]
    defaults = default_map(import_image, config or {})
    argv = [*source, "--quiet", *options]
    return CliRunner().invoke(import_image, argv, default_map=defaults)


@pytest.mark.root
@pytest.mark.parametrize(
    ("entries", "setting", "message"),
    [
        ([Entry(b"f", content=bytes(3 * MIB))], "max-layer-size=2M", "more than 2097152 bytes"),
        (
            [Entry(b"f", sparse=Sparse("1.0", 3 * MIB, ()))],
            "max-layer-size=2M",
            "sparse files unpack to too much",
        ),
        ([Entry(b"a"), Entry(b"b")], "max-layer-entries=1", "more than 1 entries"),
    ],
    ids=["size", "holes", "entries"],
)
def test_bounds_from_a_config_file(
    tmp_path: Path, entries: list[Entry], setting: str, message: str
) -> None:
    build_oci(tmp_path / "oci", "t", [entries])
    name, _, value = setting.partition("=")
    result = imported(tmp_path, config={name: value})
    assert result.exit_code == 1
    assert message in result.stderr
    assert f"hint: if that is what you expect, raise {name} in the config file" in result.stderr
    assert refs(tmp_path / "repo") == []
    assert imported(tmp_path).exit_code == 0


@pytest.mark.root
def test_depth_end_to_end(tmp_path: Path) -> None:
    """2,047 directories below each other, the most that a path can name, and their removal."""
    path = b"a/" * 2047 + b"f"
    build_oci(tmp_path / "oci", "t", [[Entry(path, content=b"1")], [opaque(b"a/" * 2046 + b"a")]])
    result = imported(tmp_path, "--branch=all")
    assert result.exit_code == 0, result.stderr
    fsck(tmp_path / "repo")
    layers = [ref for ref in refs(tmp_path / "repo") if ref.startswith("oci/layer/")]
    depths = {max(name.count("/") for name in ls(tmp_path / "repo", ref)) for ref in layers}
    assert depths == {2048}


def test_the_tools_are_lazy() -> None:
    """The streams above are no lists."""
    assert len(list(islice(endless(lambda n: Entry(b"%d" % n)), 3))) == 3
    assert hashlib.sha256(b"".join(zeros(MIB))).digest_size == 32
